import { matchesPattern } from '../domain/scope.ts';
import type { Examination, ExaminedRelation } from '../engines/postgres/examine.ts';
import { quoteIdentifier } from '../engines/postgres/quote.ts';
import { type Finding, findingsOf, some } from './finding.ts';

/** Patterns of all that any role of the configuration may ever be given. */
export interface Reach {
  readonly read: readonly string[];
  readonly write: readonly string[];
}

/** Tables that a task could be given, and that the logins could not serve: made since `init`, or by somebody else. */
export function checkGrants(
  target: string,
  logins: { readonly session: string; readonly apply: string },
  { relations }: Examination,
  reach: Reach,
  initAgain: string,
): Finding[] {
  const { ok, bad } = findingsOf(`target ${target}`);
  const within = (patterns: readonly string[]) => (relation: ExaminedRelation) =>
    patterns.some((pattern) => matchesPattern(relation, pattern));
  const readable = relations.filter(within([...reach.read, ...reach.write]));
  const tables = readable.filter(({ kind }) => kind === 'r' || kind === 'p');
  const found: Finding[] = [];

  const schemas = [...new Set(readable.filter((relation) => !relation.schemaUsable).map(({ schema }) => schema))];
  if (schemas.length > 0) {
    found.push(
      bad('fail', 'grants.schema', {
        found: `${logins.session} can’t pass on the schema ${some(schemas)}`,
        why: 'Tasks that declare its tables are told that permission is denied.',
        fix: schemas
          .map(
            (schema) =>
              `GRANT USAGE ON SCHEMA ${quoteIdentifier(schema)} TO ${quoteIdentifier(logins.session)} WITH GRANT OPTION;`,
          )
          .join('\n'),
      }),
    );
  }
  const ungranted = readable.filter(
    (relation) =>
      !relation.readable || (!relation.writable && within(reach.write)(relation) && tables.includes(relation)),
  );
  if (ungranted.length > 0) {
    found.push(
      bad('fail', 'grants.table', {
        found: `${logins.session} can’t pass on ${some(ungranted.map(nameOf))}`,
        why: 'Tasks that declare them are told that permission is denied.',
        fix: grants(ungranted, logins.session, initAgain),
      }),
    );
  }
  const unchangeable = tables.filter((relation) => !relation.changeable);
  if (unchangeable.length > 0) {
    const owners = [...new Set(unchangeable.map(({ owner }) => owner))];
    found.push(
      bad('warn', 'grants.owner', {
        found: `${logins.apply} is no member of ${some(owners)}, who owns ${some(unchangeable.map(nameOf))}`,
        why: 'Plans for them can’t be measured or applied.',
        fix: `${initAgain}  # takes over what superusers own, joins the other owners`,
      }),
    );
  }
  return found.length > 0 ? found : [ok('grants', `${readable.length} tables and views can be given to tasks`)];
}

const MOST_GRANTS = 20;

function grants(relations: readonly ExaminedRelation[], session: string, initAgain: string): string {
  if (relations.length > MOST_GRANTS) return initAgain;
  const rights = ({ kind }: ExaminedRelation) =>
    kind === 'r' || kind === 'p' ? 'SELECT, INSERT, UPDATE, DELETE' : 'SELECT';
  return relations
    .map(
      (relation) =>
        `GRANT ${rights(relation)} ON ${quoteIdentifier(relation.schema)}.${quoteIdentifier(relation.name)} TO ${quoteIdentifier(session)} WITH GRANT OPTION;`,
    )
    .join('\n');
}

function nameOf({ schema, name }: ExaminedRelation): string {
  return `${schema}.${name}`;
}

import { type ObjectRef, objectName } from '../domain/object.ts';
import { addEffect, addUnknown, type Findings } from './findings.ts';
import { parseStatement } from './parse.ts';

const MAX_EXPANDED = 64;

/** The rights with which a definition reads: its owner's, or those of whoever asks. */
export type Rights = 'of its owner' | 'of who asks';

/**
 * Looks into a definition (of a view, a policy, a check) for code that it runs. What it reads with its owner's rights is no
 * effect of the statement; what it reads with the rights of whoever asks is.
 */
export function expand(
  findings: Findings,
  what: string,
  definition: string,
  { schema, name }: { readonly schema: string; readonly name: string },
  rights: Rights = 'of its owner',
): void {
  // A table may have several policies, a domain several checks: each is another text.
  // What an owner may read for others is read once more where who asks reads it as well.
  const asOwner = rights === 'of its owner';
  const key = `${what} ${schema}.${name} ${asOwner} ${definition}`;
  if (findings.expanding.has(key)) return;
  const object = { kind: 'view', schema, name } as const;
  if (findings.expanding.size >= MAX_EXPANDED) {
    addUnknown(findings, `more than ${MAX_EXPANDED} views and policies`, object);
    return;
  }
  findings.expanding.add(key);
  const parsed = parseStatement(definition);
  if (parsed === 'empty' || 'sqlstate' in parsed) {
    addUnknown(findings, `the ${what}`, object);
    return;
  }
  const inner: Findings = {
    ...findings,
    asOwner,
    searchPath: [],
    effects: new Map(),
    writes: false,
    ownViews: null,
    schemaViews: null,
    textCalls: null,
  };
  findings.walk(inner, parsed.kind, parsed.node);
  findings.pure &&= inner.pure;
  findings.computes ||= inner.computes;
  findings.readsMetTypes ||= inner.readsMetTypes;
  const effects = [...inner.effects.values()];
  for (const { verb, object } of effects) {
    if (verb === 'unknown') addEffect(findings, verb, object);
    // What is left of reads needs the rights of whoever asks, however deep it was found.
    if (verb === 'read') readWhole(findings, object);
  }
  if (inner.writes || effects.some(({ verb }) => verb !== 'read' && verb !== 'unknown'))
    addUnknown(findings, `the ${what}, which does more than read`, object);
}

/** Which of its columns a definition reads is not looked at: any may be. */
function readWhole(findings: Findings, object: ObjectRef): void {
  addEffect(findings, 'read', object);
  const relation = findings.catalogue.relations.get(objectName(object));
  if (relation === undefined) return;
  const read = new Set(relation.columns.map(({ name }) => name));
  const none = { named: null, qualified: [], inserted: new Set<string>(), updated: new Set<string>() };
  findings.uses.push({ relation, place: 'definition', read, ...none });
}

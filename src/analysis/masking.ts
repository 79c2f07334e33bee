import { digestOf } from '../domain/digest.ts';
import { type MaskedRelation, type Masking, type MaskRule, maskOf, NOTHING_MASKED } from '../domain/masking.ts';
import type { Catalogue, Relation } from '../engines/catalogue.ts';
import { noteColumns } from './columns.ts';
import { createFindings } from './findings.ts';
import { parseStatement } from './parse.ts';

/** A catalogue with what is masked in it; remembered as long as neither changes. */
export function createMaskedCatalogue(): (catalogue: Catalogue, rules: readonly MaskRule[]) => Catalogue {
  let last: { readonly catalogue: Catalogue; readonly rules: readonly MaskRule[]; readonly masked: Catalogue } | null =
    null;
  return (catalogue, rules) => {
    if (rules.length === 0) return catalogue;
    if (last?.catalogue === catalogue && last.rules === rules) return last.masked;
    const masked = {
      ...catalogue,
      version: `${catalogue.version} ${digestOf(rules.map((rule) => ({ ...rule })))}`,
      masking: maskingOf(catalogue, rules),
    };
    last = { catalogue, rules, masked };
    return masked;
  };
}

/**
 * What the rules mask. Partitions and inheriting tables hold the same rows, so what is masked in one is masked in all of a
 * family. A view that reads a masked column shows it in ways that nobody can tell: it is closed, unless a rule names it.
 */
export function maskingOf(catalogue: Catalogue, rules: readonly MaskRule[]): Masking {
  if (rules.length === 0) return NOTHING_MASKED;
  const byRelation = new Map<string, MaskedRelation>();
  const closed = new Map<string, string>();
  for (const [name, relation] of catalogue.relations) {
    if (relation.system || !READABLE.has(relation.kind)) continue;
    const masked = maskedRelation(relation, familyOf(relation, catalogue), rules);
    if (masked !== undefined) byRelation.set(name, masked);
    if (masked !== undefined && relation.rowSecurity) {
      closed.set(name, 'row security and masks can’t be had together: a view is read with its owner’s rights');
    }
  }
  const views = [...catalogue.relations].filter(([, { definition, system }]) => definition !== null && !system);
  const vouched = (view: Relation) => rules.some(({ schema, table }) => schema === view.schema && table === view.name);
  // Again and again, because a view may read a view that is closed.
  for (let before = -1; before !== closed.size; ) {
    before = closed.size;
    for (const [name, view] of views) {
      if (closed.has(name) || vouched(view)) continue;
      const shown = readsMasked(view, catalogue, byRelation, closed);
      if (shown !== undefined) closed.set(name, `it reads ${shown}, which is masked`);
    }
  }
  return { byRelation, byView: new Map([...byRelation.values()].map((masked) => [masked.view, masked])), closed };
}

const READABLE: ReadonlySet<string> = new Set([
  'table',
  'partitioned table',
  'view',
  'materialized view',
  'foreign table',
]);

function maskedRelation(
  relation: Relation,
  family: readonly Relation[],
  rules: readonly MaskRule[],
): MaskedRelation | undefined {
  const columns = relation.columns.map(({ name, type }) => {
    const mask = family
      .map((member) => maskOf(rules, member.schema, member.name, name))
      .find((found) => found !== null);
    return { name, type, mask: mask ?? null };
  });
  if (columns.every(({ mask }) => mask === null)) return undefined;
  // A table that was made anew under the same name is another one.
  const digest = digestOf({ oid: relation.oid, schema: relation.schema, columns });
  return {
    relation: `${relation.schema}.${relation.name}`,
    view: `${[...relation.name].slice(0, 10).join('')}_${digest.slice('sha256:'.length, 'sha256:'.length + 16)}`,
    columns,
  };
}

/** A table with all that it shares rows with, itself first. */
function familyOf(relation: Relation, { relations }: Catalogue): readonly Relation[] {
  const found = new Set<Relation>([relation]);
  for (const member of found) {
    for (const name of [...member.children, ...(member.parent === null ? [] : [member.parent])]) {
      const other = relations.get(name);
      if (other !== undefined) found.add(other);
    }
  }
  return [...found];
}

function readsMasked(
  view: Relation,
  catalogue: Catalogue,
  masked: ReadonlyMap<string, MaskedRelation>,
  closed: ReadonlyMap<string, string>,
): string | undefined {
  const parsed = parseStatement(view.definition ?? '');
  if (parsed === 'empty' || 'sqlstate' in parsed) return 'what can’t be told';
  // Only its columns are asked for, not the code that it runs.
  const findings = createFindings(catalogue, [], () => undefined);
  noteColumns(findings, parsed.kind, parsed.node);
  for (const { relation, read } of findings.uses) {
    const name = `${relation.schema}.${relation.name}`;
    if (closed.has(name)) return name;
    const column = masked.get(name)?.columns.find((one) => one.mask !== null && read.has(one.name));
    if (column !== undefined) return `${name}.${column.name}`;
  }
  return undefined;
}

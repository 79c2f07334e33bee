import type { Standing } from './inventory.ts';

/** What hangs on others comes after them: by then it may have gone with them. */
const ORDER = ['SCHEMA', 'TABLE', 'FOREIGN TABLE', 'MATERIALIZED VIEW', 'VIEW', 'SEQUENCE', 'TYPE', 'ROUTINE'] as const;

/** Statements that drop the same again once it is back, whatever search path the first ones were written for. */
export function canonicalDrops(gone: readonly Standing[]): readonly string[] {
  const schemas = new Set(gone.flatMap(({ kind, oid }) => (kind === 'schema' ? [oid] : [])));
  const alone = gone.filter(({ kind, namespace }) => kind === 'schema' || !schemas.has(namespace));
  return ORDER.flatMap((kind) => {
    const names = alone.flatMap(({ drop, name }) => (drop === kind && name !== null ? [name] : []));
    return names.length === 0 ? [] : [`DROP ${kind} IF EXISTS ${names.join(', ')} CASCADE`];
  });
}

import type { Content } from '../domain/backup.ts';

/**
 * @param sequences `not behind` of a restore through the log: it takes values in advance, so that a restore may skip some,
 * and never hands one out a second time.
 * @returns what of a restored database is not as it was, each as a sentence; empty when all of it is.
 */
export function differences(
  backedUp: Content,
  restored: Content,
  sequences: 'same' | 'not behind' = 'same',
): readonly string[] {
  const problems: string[] = [];
  const now = new Map(restored.tables.map((table) => [table.table, table]));
  for (const { table, rows, hash } of backedUp.tables) {
    const found = now.get(table);
    now.delete(table);
    if (found === undefined) problems.push(`table ${table} is missing (it had ${rows} rows)`);
    else if (found.rows !== rows) problems.push(`table ${table} has ${found.rows} rows, it had ${rows}`);
    else if (found.hash !== hash) problems.push(`table ${table} has ${rows} rows as before, but not the same`);
  }
  for (const table of now.keys()) problems.push(`table ${table} is there, and was not backed up`);
  const values = new Map(restored.sequences.map(({ sequence, lastValue }) => [sequence, lastValue]));
  for (const { sequence, lastValue } of backedUp.sequences) {
    const found = values.get(sequence);
    if (found === undefined) problems.push(`sequence ${sequence} is missing`);
    else if (sequences === 'same' ? found !== lastValue : isBehind(found, lastValue))
      problems.push(`sequence ${sequence} is at ${found ?? 'its start'}, it was at ${lastValue ?? 'its start'}`);
  }
  if (restored.largeObjects !== backedUp.largeObjects)
    problems.push(`there are ${restored.largeObjects} large objects, there were ${backedUp.largeObjects}`);
  else if (backedUp.largeObjectsHash !== undefined && backedUp.largeObjectsHash !== restored.largeObjectsHash)
    problems.push(`there are ${restored.largeObjects} large objects as before, but not the same`);
  const names = new Set([...Object.keys(backedUp.definitions), ...Object.keys(restored.definitions)]);
  for (const name of [...names].sort()) {
    const [was, is] = [backedUp.definitions[name], restored.definitions[name]];
    if (was === is) continue;
    problems.push(
      is === undefined
        ? `${name} is missing`
        : was === undefined
          ? `${name} was not there`
          : `${name} is defined otherwise`,
    );
  }
  return problems;
}

function isBehind(value: string | null, than: string | null): boolean {
  return than !== null && (value === null || BigInt(value) < BigInt(than));
}

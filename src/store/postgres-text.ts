import type { SqlValue, Write } from './write.ts';

const numbered = new Map<string, string>();
const MAX_KEPT = 500;

/** A statement of the repositories as PostgreSQL wants it: its parameters have numbers. */
export function postgresText(sql: string): string {
  let text = numbered.get(sql);
  if (text === undefined) {
    let parameter = 0;
    text = sql.replaceAll('?', () => `$${++parameter}`);
    if (numbered.size >= MAX_KEPT) numbered.clear();
    numbered.set(sql, text);
  }
  return text;
}

/** A write as one statement: rows for a table go as one array a column. */
export function statementOf(change: Write): { readonly text: string; readonly values: unknown[] } {
  if ('sql' in change) return { text: postgresText(change.sql), values: change.parameters.map(bound) };
  const { into, columns, rows } = change;
  const arrays = columns.map(([, type], position) => `$${position + 1}::${type}[]`);
  return {
    text: `INSERT INTO ${into} (${columns.map(([name]) => name).join(', ')}) SELECT * FROM unnest(${arrays.join(', ')})`,
    values: columns.map((_, position) => rows.map((row) => bound(row[position] ?? null))),
  };
}

/** The driver takes a Buffer for bytes, and other byte arrays for something else. */
function bound(value: SqlValue): SqlValue {
  return value instanceof Uint8Array && !Buffer.isBuffer(value) ? Buffer.from(value) : value;
}

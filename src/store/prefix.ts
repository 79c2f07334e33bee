import { type RawBuilder, sql } from 'kysely';

const LAST_CHARACTER = '\u{10ffff}';

/** Whether a text begins so, letter for letter: LIKE would take `%` and `_` for more than they are, and use no index. */
export function beginsWith(column: string, prefix: string): RawBuilder<boolean> {
  const reference = sql.ref(column);
  return sql`(${reference} >= ${prefix} AND ${reference} < ${prefix + LAST_CHARACTER})`;
}

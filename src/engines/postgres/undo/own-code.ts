import type pg from 'pg';
import { quoteIdentifier } from '../quote.ts';
import type { UndoTable } from './undo-tables.ts';

/**
 * Keeps the tables' own triggers and rules from running while rows are put back: what they did is among the rows, and
 * they would do it again. Foreign keys and capture go on: their triggers are left as they are, row for row, so that the
 * seal of capture holds.
 *
 * @returns what puts them into the state in which they were.
 */
export async function silenceOwnCode(client: pg.Client, tables: readonly UndoTable[]): Promise<() => Promise<void>> {
  const { rows } = await client.query<{ table: string; kind: string; name: string; enabled: string }>(OWN_CODE, [
    tables.map(({ oid }) => oid),
  ]);
  if (rows.length === 0) return async () => undefined;
  const alter = (how: (enabled: string) => string) =>
    rows
      .map(
        ({ table, kind, name, enabled }) =>
          `ALTER TABLE ONLY ${table} ${how(enabled)} ${kind} ${quoteIdentifier(name)}`,
      )
      .join(';\n');
  await client.query(alter(() => 'DISABLE'));
  return async () => {
    await client.query(alter((enabled) => ENABLED[enabled] ?? 'ENABLE'));
  };
}

/** pg_trigger.tgenabled and pg_rewrite.ev_enabled (PostgreSQL, "System Catalogs"). */
const ENABLED: Readonly<Record<string, string>> = { O: 'ENABLE', A: 'ENABLE ALWAYS', R: 'ENABLE REPLICA' };

const OWN_CODE = `
  WITH tree AS (
    SELECT t.oid FROM pg_catalog.unnest($1::oid[]) AS t (oid)
    UNION SELECT l.relid FROM pg_catalog.unnest($1::oid[]) AS t (oid), LATERAL pg_catalog.pg_partition_tree(t.oid) AS l
  ), code AS (
    SELECT tgrelid AS relid, 'TRIGGER' AS kind, tgname AS name, tgenabled AS enabled FROM pg_catalog.pg_trigger
    WHERE NOT tgisinternal AND tgname !~ '^~countersign_'
    UNION ALL
    SELECT ev_class, 'RULE', rulename, ev_enabled FROM pg_catalog.pg_rewrite WHERE rulename <> '_RETURN'
  )
  SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) AS table, d.kind, d.name, d.enabled
  FROM tree JOIN code AS d ON d.relid = tree.oid JOIN pg_catalog.pg_class AS c ON c.oid = tree.oid JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
  WHERE d.enabled <> 'D' ORDER BY 1, 2, 3`;

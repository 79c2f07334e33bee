import type pg from 'pg';
import { QUARANTINE_PREFIX } from '../../../domain/quarantine.ts';
import { UndoConflict } from '../undo/undo-conflict.ts';

/** What lies in quarantine, down to columns: a CASCADE that reaches it would show nowhere else. */
async function contents(client: pg.Client): Promise<ReadonlySet<string>> {
  const { rows } = await client.query<{ part: string }>(CONTENTS, [QUARANTINE_PREFIX]);
  return new Set(rows.map(({ part }) => part));
}

/**
 * Does work that must not take anything out of quarantine.
 *
 * @param own schemas of which it may.
 * @throws UndoConflict where it does.
 */
export async function sparingQuarantine<Result>(
  client: pg.Client,
  work: () => Promise<Result>,
  own: readonly string[] = [],
): Promise<Result> {
  const before = await contents(client);
  const result = await work();
  if (before.size === 0) return result;
  const after = await contents(client);
  const gone = [...before].filter((part) => !after.has(part) && !own.some((schema) => part.startsWith(`${schema}.`)));
  if (gone.length > 0)
    throw new UndoConflict(gone.map((part) => `${part}, which lies in quarantine, would go with it: purge that first`));
  return result;
}

const CONTENTS = `
  SELECT n.nspname || '.' || c.relname || coalesce('.' || a.attname, '') AS part
  FROM pg_catalog.pg_namespace AS n JOIN pg_catalog.pg_class AS c ON c.relnamespace = n.oid
  LEFT JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
  WHERE pg_catalog.starts_with(n.nspname, $1)`;

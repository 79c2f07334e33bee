import type pg from 'pg';
import { STATE_SCHEMA } from './postgres-connections.ts';
import { POSTGRES_MIGRATIONS } from './postgres-migrations.ts';
import { StoreUnavailable } from './store.ts';

/** Any number that nobody else takes: who migrates holds it. */
const MIGRATION_LOCK = 7_206_934_117;

/** Brings the schema to this version; processes that start at once wait for the one that does. */
export async function migrate(client: pg.ClientBase): Promise<void> {
  const { rows: encodings } = await client.query<{ server_encoding: string }>('SHOW server_encoding');
  const encoding = encodings[0]?.server_encoding;
  if (encoding !== 'UTF8')
    throw new StoreUnavailable(`the database of the state must be in UTF8, and is in ${encoding}`);
  if ((await versionOf(client)) === POSTGRES_MIGRATIONS.length) return;
  // Before the transaction: one that has begun doesn't see what others have made since.
  await client.query('SELECT pg_catalog.pg_advisory_lock($1)', [MIGRATION_LOCK]);
  try {
    await migrateAlone(client);
  } finally {
    await client.query('SELECT pg_catalog.pg_advisory_unlock($1)', [MIGRATION_LOCK]);
  }
}

async function migrateAlone(client: pg.ClientBase): Promise<void> {
  await client.query('BEGIN');
  const version = await versionOf(client);
  if (version > POSTGRES_MIGRATIONS.length) {
    await client.query('ROLLBACK');
    throw new StoreUnavailable('it was written by a newer version of Countersign');
  }
  const { rows } = await client.query<{ exists: boolean }>(
    `SELECT pg_catalog.to_regnamespace('${STATE_SCHEMA}') IS NOT NULL AS exists`,
  );
  if (rows[0]?.exists !== true) await client.query(`CREATE SCHEMA ${STATE_SCHEMA}`);
  await client.query(`CREATE TABLE IF NOT EXISTS ${STATE_SCHEMA}.version (version integer NOT NULL)`);
  for (const migration of POSTGRES_MIGRATIONS.slice(version)) await client.query(migration);
  await client.query(`DELETE FROM ${STATE_SCHEMA}.version`);
  await client.query(`INSERT INTO ${STATE_SCHEMA}.version VALUES ($1)`, [POSTGRES_MIGRATIONS.length]);
  await client.query('COMMIT');
}

async function versionOf(client: pg.ClientBase): Promise<number> {
  const { rows: tables } = await client.query<{ exists: boolean }>(
    `SELECT pg_catalog.to_regclass('${STATE_SCHEMA}.version') IS NOT NULL AS exists`,
  );
  if (tables[0]?.exists !== true) return 0;
  const { rows } = await client.query<{ version: number }>(`SELECT version FROM ${STATE_SCHEMA}.version`);
  return rows[0]?.version ?? 0;
}

import { randomBytes } from 'node:crypto';
import { renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type pg from 'pg';
import { BARE_LOGINS } from '../config/scenario-schema.ts';
import { quoteIdentifier, quoteQualified } from '../engines/postgres/quote.ts';
import type { ServerBinaries } from '../engines/postgres/server-binaries.ts';
import type { Lane } from './lane.ts';
import { asSuperuser, connectSuperuser, type Master, setUp, startCopy } from './master.ts';
import type { Scenario } from './scenario.ts';

const PRISTINE = 'redteam_spare_pristine';
const SPARE_NAMES = Array.from({ length: 4 }, (_, n) => `redteam_spare_${n}`);

/**
 * The database without a gateway, with the logins that people give an agent instead. An attack that does nothing here
 * proves nothing elsewhere. After each one that did, the database is another: copies wait ready.
 */
export async function openBareLane(
  master: Master,
  facts: { readonly directory: string; readonly binaries: ServerBinaries },
): Promise<Lane> {
  const dataDirectory = join(facts.directory, 'bare');
  const database = quoteIdentifier(master.database);
  const password = randomBytes(18).toString('base64url');
  const apart: Scenario[] = [];
  const prepared = `${dataDirectory}.prepared`;
  let server = await startCopy(master.dataDirectory, { ...facts, dataDirectory });
  let spares: string[] = [];

  /** Makes what every copy begins with: the logins, a database to copy from, and copies of it. */
  async function prepare(): Promise<void> {
    await asSuperuser(server.url(master.database), async (client) => {
      await setUp(client, apart, master.surroundings);
      await makeLogins(client, master, password);
    });
    await asAdministrator((client) => client.query(`ALTER DATABASE ${database} RENAME TO ${PRISTINE}`));
    await asAdministrator(async (client) => {
      for (const copy of [database, ...SPARE_NAMES]) await client.query(`CREATE DATABASE ${copy} TEMPLATE ${PRISTINE}`);
    });
    await server.stop();
    rmSync(prepared, { recursive: true, force: true });
    renameSync(dataDirectory, prepared);
    await startFrom(prepared);
  }

  async function startFrom(directory: string): Promise<void> {
    server = await startCopy(directory, { ...facts, dataDirectory, port: server.port });
    spares = directory === prepared ? [...SPARE_NAMES] : [];
  }

  function asAdministrator<Result>(use: (client: pg.Client) => Promise<Result>): Promise<Result> {
    return asSuperuser(server.url('postgres'), use);
  }

  /** Another copy takes the place of the harmed one, which is left where it is: dropping it costs more than all else. */
  async function restore(cluster: boolean): Promise<void> {
    const spare = cluster ? undefined : spares.shift();
    if (spare !== undefined && (await tookPlace(spare))) return;
    await server.kill();
    rmSync(dataDirectory, { recursive: true, force: true });
    await startFrom(prepared);
  }

  /** @returns false when an attack has left the database so that it can't be put aside. */
  function tookPlace(spare: string): Promise<boolean> {
    return asAdministrator(async (client) => {
      try {
        await client.query(
          'SELECT pg_catalog.pg_terminate_backend(pid, 2000) FROM pg_catalog.pg_stat_activity WHERE datname = $1',
          [master.database],
        );
        await client.query(`ALTER DATABASE ${database} RENAME TO ${spare}_used`);
        await client.query(`ALTER DATABASE ${spare} RENAME TO ${database}`);
        return true;
      } catch (error) {
        if (error instanceof Error && 'severity' in error) return false;
        throw error;
      }
    });
  }

  await prepare();
  return {
    name: 'bare',
    async enter({ bare }) {
      const login = `redteam_bare_${bare.replaceAll('-', '_')}`;
      return {
        postgres: `postgres://${login}:${password}@127.0.0.1:${server.port}/${encodeURIComponent(master.database)}`,
        target: '',
      };
    },
    watch: () => connectSuperuser(server.url(master.database)),
    async setUpApart(scenarios) {
      apart.push(...scenarios);
      await server.kill();
      rmSync(dataDirectory, { recursive: true, force: true });
      await startFrom(master.dataDirectory);
      await prepare();
      const failed = await asSuperuser(server.url(master.database), (client) => missing(client, scenarios));
      return new Map(failed.map((id) => [id, 'its set-up failed']));
    },
    restore,
    async close() {
      await server.kill();
      rmSync(dataDirectory, { recursive: true, force: true });
    },
  };
}

async function missing(client: pg.Client, scenarios: readonly Scenario[]): Promise<readonly string[]> {
  const { rows } = await client.query<{ nspname: string }>('SELECT nspname FROM pg_catalog.pg_namespace');
  const schemas = new Set(rows.map(({ nspname }) => nspname));
  return scenarios
    .filter(({ setup, id }) => setup !== undefined && !schemas.has(`trap_${id.replaceAll('-', '_')}`))
    .map(({ id }) => id);
}

/** A reader has SELECT on everything and a default to read only; a writer writes what a task of a writer declares. */
async function makeLogins(client: pg.Client, { surroundings, database }: Master, password: string): Promise<void> {
  const name = (login: (typeof BARE_LOGINS)[number]) => `redteam_bare_${login.replaceAll('-', '_')}`;
  for (const login of BARE_LOGINS) {
    await client.query(
      `CREATE ROLE ${name(login)} LOGIN ${login === 'superuser' ? 'SUPERUSER' : ''} PASSWORD '${password}'`,
    );
    await client.query(`GRANT CONNECT, TEMPORARY ON DATABASE ${quoteIdentifier(database)} TO ${name(login)}`);
  }
  const { rows } = await client.query<{ nspname: string }>(
    `SELECT nspname FROM pg_catalog.pg_namespace WHERE nspname !~ '^(pg_|countersign_quarantine_)' AND nspname <> 'information_schema'`,
  );
  for (const { nspname } of rows) {
    const schema = quoteIdentifier(nspname);
    const both = `${name('reader')}, ${name('writer')}`;
    await client.query(
      `GRANT USAGE ON SCHEMA ${schema} TO ${both}; GRANT SELECT ON ALL TABLES IN SCHEMA ${schema} TO ${both}`,
    );
    await client.query(`GRANT USAGE ON ALL SEQUENCES IN SCHEMA ${schema} TO ${name('writer')}`);
  }
  const written = surroundings.radius.writer.write;
  for (const pattern of written.length > 0 ? written : ['redteam.orders']) {
    const all = pattern.endsWith('.*');
    const on = all ? `ALL TABLES IN SCHEMA ${quoteIdentifier(pattern.slice(0, -2))}` : quoteQualified(pattern);
    if (!all || rows.some(({ nspname }) => `${nspname}.*` === pattern))
      await client.query(`GRANT INSERT, UPDATE, DELETE ON ${on} TO ${name('writer')}`);
  }
  for (const owner of new Set(['redteam_owner', ...surroundings.owners])) {
    await client.query(`GRANT ${quoteIdentifier(owner)} TO ${name('owner')}, ${name('read-only-owner')}`);
  }
  await client.query(`ALTER ROLE ${name('reader')} SET default_transaction_read_only = on`);
  await client.query(`ALTER ROLE ${name('read-only-owner')} SET default_transaction_read_only = on`);
}

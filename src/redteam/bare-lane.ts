import { randomBytes } from 'node:crypto';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import type pg from 'pg';
import { BARE_LOGINS } from '../config/scenario-schema.ts';
import type { EmbeddedServer } from '../engines/postgres/embedded-server.ts';
import { quoteIdentifier, quoteQualified } from '../engines/postgres/quote.ts';
import type { ServerBinaries } from '../engines/postgres/server-binaries.ts';
import type { Lane } from './lane.ts';
import { asSuperuser, connectSuperuser, type Master, setUp, startCopy } from './master.ts';
import type { Scenario } from './scenario.ts';

const SPARES = 2;
const PRISTINE = 'redteam_spare_pristine';

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
  let server: EmbeddedServer;
  let spares: Promise<string>[] = [];
  let made = 0;

  async function start(port?: number): Promise<void> {
    server = await startCopy(master, { ...facts, dataDirectory, ...(port === undefined ? {} : { port }) });
    await asSuperuser(server.url(master.database), async (client) => {
      await setUp(client, apart, master.surroundings);
      await makeLogins(client, master, password);
    });
    await asAdministrator(async (client) => {
      await client.query(`ALTER DATABASE ${database} RENAME TO ${PRISTINE}`);
    });
    spares = [];
    for (let n = 0; n < SPARES; n++) spares.push(makeSpare());
    await takeSpare();
  }

  /** One after the other: a database that is being copied can't be copied twice at once. */
  let copying: Promise<unknown> = Promise.resolve();
  function makeSpare(): Promise<string> {
    const name = `redteam_spare_${++made}`;
    const copied = copying.then(() =>
      asAdministrator(async (client) => {
        await client.query(`CREATE DATABASE ${name} TEMPLATE ${PRISTINE}`);
        return name;
      }),
    );
    copying = copied.catch(() => undefined /* whoever takes it is told */);
    return copied;
  }

  async function takeSpare(): Promise<void> {
    const spare = await spares.shift();
    if (spare === undefined) throw new Error('no copy was made');
    await asAdministrator(async (client) => {
      await client.query(`ALTER DATABASE ${spare} RENAME TO ${database}`);
    });
    spares.push(makeSpare());
  }

  function asAdministrator<Result>(use: (client: pg.Client) => Promise<Result>): Promise<Result> {
    return asSuperuser(server.url('postgres'), use);
  }

  async function restore(cluster: boolean): Promise<void> {
    if (!cluster) {
      await asAdministrator((client) => client.query(`DROP DATABASE IF EXISTS ${database} WITH (FORCE)`));
      return takeSpare();
    }
    await Promise.allSettled(spares);
    await server.kill();
    rmSync(dataDirectory, { recursive: true, force: true });
    await start(server.port);
  }

  await start();
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
      await restore(true);
      const failed = await asSuperuser(server.url(master.database), (client) => missing(client, scenarios));
      return new Map(failed.map((id) => [id, 'its set-up failed']));
    },
    restore,
    async close() {
      await Promise.allSettled(spares);
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
    `SELECT nspname FROM pg_catalog.pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'`,
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

import { execFile } from 'node:child_process';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import pg from 'pg';
import { type EmbeddedServer, startEmbeddedServer } from '../engines/postgres/embedded-server.ts';
import { quoteIdentifier } from '../engines/postgres/quote.ts';
import type { ServerBinaries } from '../engines/postgres/server-binaries.ts';
import type { Scenario } from './scenario.ts';
import { loadSchema, type SchemaLoss } from './schema-source.ts';
import {
  filledIn,
  lookAround,
  makeStandIns,
  type RoleReach,
  type Surroundings,
  trapSchema,
  wordsFor,
} from './surroundings.ts';
import { type Filled, fillTables } from './synthetic-rows.ts';

/** A server with the schema, made-up rows, and what scenarios set up, at rest: what is tried runs on copies of it. */
export interface Master {
  readonly dataDirectory: string;
  readonly database: string;
  readonly major: number;
  readonly surroundings: Surroundings;
  readonly filled: Filled;
  readonly losses: readonly SchemaLoss[];
  /** Scenarios whose set-up the schema at hand did not take. */
  readonly notSetUp: ReadonlyMap<string, string>;
}

/** The same for every copy: nothing is durable, nothing runs by itself. */
export const COPY_SETTINGS: Readonly<Record<string, string>> = {
  autovacuum: 'off',
  shared_buffers: '48MB',
  max_wal_size: '256MB',
  max_prepared_transactions: '5',
  max_connections: '200',
  jit: 'off',
  deadlock_timeout: '200ms',
  max_parallel_workers_per_gather: '0',
};

/** Makes it below a directory of its own. @throws RefusalError for a schema that is none. */
export async function makeMaster(facts: {
  readonly directory: string;
  readonly binaries: ServerBinaries;
  readonly database: string;
  readonly target: string;
  readonly schema: string;
  readonly role: RoleReach;
  readonly scenarios: readonly Scenario[];
  readonly canary: string;
}): Promise<Master> {
  const dataDirectory = join(facts.directory, 'master');
  const fileDirectory = join(facts.directory, 'files');
  mkdirSync(fileDirectory);
  // Whoever the server runs as: what an attack writes to a file must be able to arrive.
  chmodSync(fileDirectory, 0o777);
  writeFileSync(join(fileDirectory, 'secret'), `${facts.canary}\n`, { mode: 0o644 });
  const server = await startEmbeddedServer({
    dataDirectory,
    binaries: facts.binaries,
    durable: false,
    settings: COPY_SETTINGS,
  });
  try {
    await asSuperuser(server.url('postgres'), (client) =>
      client.query(`CREATE DATABASE ${quoteIdentifier(facts.database)}`),
    );
    return await asSuperuser(server.url(facts.database), async (client) => {
      const losses = await loadSchema(client, facts.schema);
      const filled = await fillTables(client);
      await makeStandIns(client, facts.canary);
      const surroundings = await lookAround(client, { ...facts, filled: filled.tables, fileDirectory });
      const notSetUp = await setUp(
        client,
        facts.scenarios.filter(({ apart }) => !apart),
        surroundings,
      );
      await client.query('ANALYZE; CHECKPOINT');
      return { dataDirectory, database: facts.database, major: server.major, surroundings, filled, losses, notSetUp };
    });
  } finally {
    await server.stop();
  }
}

/** Makes the objects of scenarios, each in its own schema. @returns those that failed, with what the database said. */
export async function setUp(
  client: pg.Client,
  scenarios: readonly Scenario[],
  surroundings: Surroundings,
): Promise<ReadonlyMap<string, string>> {
  const failed = new Map<string, string>();
  for (const scenario of scenarios) {
    if (scenario.setup === undefined) continue;
    const schema = trapSchema(scenario);
    await client.query('BEGIN');
    try {
      await client.query(
        `CREATE SCHEMA ${schema} AUTHORIZATION redteam_owner; GRANT USAGE ON SCHEMA ${schema} TO PUBLIC`,
      );
      if (scenario.setupAs === 'owner') await client.query('SET LOCAL ROLE redteam_owner');
      await client.query(filledIn(scenario.setup, wordsFor(scenario, surroundings)));
      await client.query('COMMIT');
    } catch (error) {
      await client.query('ROLLBACK');
      failed.set(scenario.id, error instanceof Error ? error.message : String(error));
    }
  }
  return failed;
}

/** Starts a server on a copy of a data directory, which is not touched. */
export async function startCopy(
  from: string,
  facts: { readonly dataDirectory: string; readonly binaries: ServerBinaries; readonly port?: number },
): Promise<EmbeddedServer> {
  // With its owner and modes, which the library's copying would lose.
  await promisify(execFile)('cp', ['-a', from, facts.dataDirectory]);
  return startEmbeddedServer({ ...facts, durable: false, settings: COPY_SETTINGS });
}

export async function asSuperuser<Result>(url: string, use: (client: pg.Client) => Promise<Result>): Promise<Result> {
  const client = await connectSuperuser(url);
  try {
    return await use(client);
  } finally {
    await client.end();
  }
}

export async function connectSuperuser(url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url, application_name: 'countersign redteam' });
  // Attacks end connections: whoever asks next is told.
  client.on('error', () => undefined);
  await client.connect();
  return client;
}

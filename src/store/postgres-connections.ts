import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import type { PostgresState } from '../domain/state-location.ts';

export const STATE_SCHEMA = 'countersign_state';
export const MAX_CONNECTIONS = 8;

/** Connections to a state store on PostgreSQL, each bounded in time: whoever is cut off must find it out. */
export interface Connections {
  /** One to work with; waits out a server that is just starting again. */
  take(): Promise<pg.PoolClient>;
  /** One outside of the pool, for what lasts. */
  open(): Promise<pg.Client>;
  /** Whether a server process is one that serves this pool. */
  isOwn(processId: number): boolean;
  close(): Promise<void>;
}

const PATIENCE_MS = 2000;
const TRY_EVERY_MS = 50;

export function createConnections(state: PostgresState, readOnly: boolean): Connections {
  const config = clientConfig(state, readOnly);
  const pool = new pg.Pool({ ...config, max: MAX_CONNECTIONS, allowExitOnIdle: true });
  const own = new Set<number>();
  pool.on('connect', (client) => {
    own.add(processIdOf(client));
    client.on('error', () => undefined /* the query that waits for an answer reports it */);
  });
  pool.on('remove', (client) => own.delete(processIdOf(client)));
  pool.on('error', () => undefined /* an idle connection was lost: the pool makes another when it needs one */);

  return {
    async take() {
      const giveUpAt = Date.now() + Math.min(PATIENCE_MS, state.leaseMs / 2);
      for (;;) {
        try {
          return await pool.connect();
        } catch (error) {
          if (!isRestarting(error) || Date.now() >= giveUpAt) throw error;
          await sleep(TRY_EVERY_MS);
        }
      }
    },
    async open() {
      const client = new pg.Client(config);
      client.on('error', () => undefined /* 'end' follows, and whoever holds it listens for that */);
      await client.connect();
      return client;
    },
    isOwn: (processId) => own.has(processId),
    close: () => pool.end(),
  };
}

/** Between two looks at a snapshot whoever reads it may have much to do: a hundred thousand signatures take a minute. */
const READER_MAY_IDLE_MS = 15 * 60_000;

/** Connections that last: for a snapshot that is read for longer than a statement may take. They hold nothing that others wait for. */
export async function connectForReading(state: PostgresState): Promise<pg.Client> {
  const client = new pg.Client({
    ...clientConfig(state, true),
    statement_timeout: 0,
    query_timeout: 0,
    idle_in_transaction_session_timeout: READER_MAY_IDLE_MS,
  });
  client.on('error', () => undefined /* the query that waits for an answer reports it */);
  await client.connect();
  return client;
}

function clientConfig(state: PostgresState, readOnly: boolean): pg.ClientConfig & { readonly pipeline: boolean } {
  const { host, port, database, user, password, tls, tlsAuthorities, leaseMs } = state;
  return {
    host,
    port,
    database,
    user,
    ...(password === undefined ? {} : { password }),
    ssl:
      tls === 'disable'
        ? false
        : {
            rejectUnauthorized: tls === 'verify-full',
            ...(tlsAuthorities === undefined ? {} : { ca: tlsAuthorities }),
          },
    application_name: 'countersign state',
    connectionTimeoutMillis: leaseMs,
    // A node that was cut off must not hold the head of the ledger for others: the server ends its transaction.
    idle_in_transaction_session_timeout: leaseMs,
    statement_timeout: leaseMs,
    query_timeout: leaseMs,
    keepAlive: true,
    options: `-c search_path=${STATE_SCHEMA},pg_catalog -c synchronous_commit=on${readOnly ? ' -c default_transaction_read_only=on' : ''}`,
    types: { getTypeParser },
    pipeline: true,
  };
}

const INT8 = 20;

/** Sizes and times are far below 2^53. */
const getTypeParser: pg.CustomTypesConfig['getTypeParser'] = (oid, format) =>
  oid === INT8 ? Number : pg.types.getTypeParser(oid, format);

const STARTING = new Set(['ECONNREFUSED', 'ECONNRESET', '57P01', '57P02', '57P03']);

function isRestarting(error: unknown): boolean {
  const { code, message } = error as { readonly code?: string; readonly message?: string };
  return STARTING.has(code ?? '') || message === 'Connection terminated unexpectedly';
}

function processIdOf(client: pg.ClientBase): number {
  return (client as unknown as { readonly processID: number }).processID;
}

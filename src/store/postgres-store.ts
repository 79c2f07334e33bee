import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Compilable } from 'kysely';
import pg from 'pg';
import type { PostgresState } from '../domain/state-location.ts';
import { createConnections } from './postgres-connections.ts';
import { type Listener, listen } from './postgres-listener.ts';
import { becameOf, forgetCommits, type MarkedTransaction, markTransaction } from './postgres-marks.ts';
import { migrate } from './postgres-migrate.ts';
import { postgresText, statementOf } from './postgres-text.ts';
import { type Reader, type Store, type StoreOptions, StoreUnavailable, StoreUncertain } from './store.ts';
import { type Write, write } from './write.ts';

/** For how long it is asked what became of a COMMIT whose answer was lost. */
const ASK_FOR_MS = 10_000;
const ASK_EVERY_MS = 50;

/** One after the other, across all nodes: who holds this row appends to the ledger. Given out in the order of asking. */
const TAKE_TURN = 'SELECT size FROM ledger_head WHERE id = 1 FOR UPDATE';

/**
 * Opens a store on a PostgreSQL server, making and migrating its schema where needed.
 *
 * @throws StoreUnavailable when it can't be reached or used, or was written by a newer version.
 */
export async function openPostgresStore(state: PostgresState, options: StoreOptions = {}): Promise<Store> {
  const name = `postgres://${state.user}@${state.host}:${state.port}/${state.database}`;
  const connections = createConnections(state, options.readOnly === true);
  const listeners: (() => void)[] = [];
  const underWay = new Set<Promise<unknown>>();
  let listener: Listener | null = null;
  let closing: Promise<void> | null = null;

  const unavailable = (error: unknown): StoreUnavailable =>
    error instanceof StoreUnavailable
      ? error
      : new StoreUnavailable(`the state store ${name}: ${said(error)}`, { cause: error });

  function withClient<Result>(work: (client: pg.PoolClient) => Promise<Result>): Promise<Result> {
    if (closing !== null) return Promise.reject(new StoreUnavailable(`the state store ${name} is closed`));
    const working = workWith(work);
    underWay.add(working);
    return working.finally(() => underWay.delete(working));
  }

  async function workWith<Result>(work: (client: pg.PoolClient) => Promise<Result>): Promise<Result> {
    const client = await connections.take();
    try {
      const result = await work(client);
      client.release();
      return result;
    } catch (error) {
      client.release(true);
      throw error;
    }
  }

  async function all<Row>(query: Compilable<Row>): Promise<Row[]> {
    try {
      return await withClient((client) => rowsOf(client, query));
    } catch (error) {
      if (!isLost(error)) throw unavailable(error);
    }
    // A connection that was lost says nothing of the server; reading again does no harm.
    return withClient((client) => rowsOf(client, query)).catch((error: unknown) => {
      throw unavailable(error);
    });
  }

  /** Waits until it is told what became of a COMMIT whose answer was lost. */
  async function askWhatBecameOf(transaction: MarkedTransaction, cause: unknown): Promise<null> {
    const giveUpAt = Date.now() + ASK_FOR_MS;
    let last: unknown = cause;
    while (Date.now() < giveUpAt) {
      const became = await withClient((client) => becameOf(client, transaction)).catch((error: unknown) => {
        last = error;
        return 'unknown' as const;
      });
      if (became === 'committed') return null;
      if (became === 'undone')
        throw new StoreUnavailable(`the state store ${name}: the connection was lost, and the transaction was undone`, {
          cause,
        });
      if (closing !== null) break;
      await sleep(ASK_EVERY_MS);
    }
    throw new StoreUncertain(
      `the state store ${name}: the connection was lost in COMMIT, and it does not tell what became of it: ${said(last)}`,
      { cause },
    );
  }

  async function transact(
    turn: boolean,
    prepare: (reader: Reader) => Promise<readonly Write[]>,
  ): Promise<number | null> {
    let committing: MarkedTransaction | null = null;
    let callers: unknown;
    try {
      return await withClient(async (client) => {
        const [, marked] = await Promise.all([
          client.query('BEGIN'),
          markTransaction(client),
          ...(turn ? [client.query(TAKE_TURN)] : []),
        ]);
        const writes = await prepare(readerOn(client, unavailable)).catch((error: unknown) => {
          callers = error;
          throw error;
        });
        const failedAt = await executeAll(client, writes);
        if (failedAt !== null) {
          await client.query('ROLLBACK');
          return failedAt;
        }
        committing = marked;
        await client.query('COMMIT');
        return null;
      });
    } catch (error) {
      if (committing !== null && isLost(error)) return askWhatBecameOf(committing, error);
      throw error === callers ? error : unavailable(error);
    }
  }

  async function end(): Promise<void> {
    await listener?.close();
    await Promise.allSettled(underWay);
    await connections.close();
  }

  try {
    mkdirSync(dirname(state.checkpointFile), { recursive: true, mode: 0o700 });
    if (options.readOnly !== true) await withClient((client) => migrate(client).then(() => forgetCommits(client)));
  } catch (error) {
    await connections.close();
    throw unavailable(error);
  }
  return {
    name,
    checkpointFile: state.checkpointFile,
    leaseMs: state.leaseMs,
    all,
    first: async (query) => (await all(query))[0],
    commit: (writes) => transact(false, () => Promise.resolve(writes)),
    append: (prepare) => transact(true, prepare),
    async nowMs() {
      const { rows } = await withClient((client) => client.query<{ now: number }>(NOW_MS)).catch((error: unknown) => {
        throw unavailable(error);
      });
      return rows[0]?.now ?? Number.NaN;
    },
    onChange(told) {
      listeners.push(told);
      listener ??= listen(connections, () => {
        for (const each of listeners) each();
      });
    },
    close() {
      closing ??= end();
      return closing;
    },
  };
}

const NOW_MS = 'SELECT (extract(epoch FROM pg_catalog.clock_timestamp()) * 1000)::bigint AS now';

function readerOn(client: pg.ClientBase, unavailable: (error: unknown) => StoreUnavailable): Reader {
  async function all<Row>(query: Compilable<Row>): Promise<Row[]> {
    try {
      return await rowsOf(client, query);
    } catch (error) {
      throw unavailable(error);
    }
  }
  return { all, first: async (query) => (await all(query))[0] };
}

async function rowsOf<Row>(client: pg.ClientBase, query: Compilable<Row>): Promise<Row[]> {
  const { sql, parameters } = write(query);
  return (await client.query(postgresText(sql), [...parameters])).rows as Row[];
}

/** Sends all at once and looks at the answers. @returns the index of the first that did not do what it should. */
async function executeAll(client: pg.ClientBase, writes: readonly Write[]): Promise<number | null> {
  const answers = await Promise.allSettled(
    writes.map((change) => {
      const { text, values } = statementOf(change);
      return client.query(text, values);
    }),
  );
  for (const [index, answer] of answers.entries()) {
    if (answer.status === 'rejected') {
      if (breaksRule(answer.reason)) return index;
      throw answer.reason;
    }
    const change = writes[index];
    const expected = change !== undefined && 'sql' in change ? change.expectChanges : undefined;
    if (expected !== undefined && answer.value.rowCount !== expected) return index;
  }
  return null;
}

/** A write that breaks a constraint, or carries what can't be stored, says nothing of the others (SQLSTATE 22 and 23). */
function breaksRule(error: unknown): boolean {
  return error instanceof pg.DatabaseError && /^2[23]/.test(error.code ?? '');
}

/** No answer came, or the server's last word: what was sent may have been executed. */
function isLost(error: unknown): boolean {
  if (error instanceof StoreUnavailable) return false;
  if (!(error instanceof pg.DatabaseError)) return error instanceof Error && !(error instanceof TypeError);
  return error.severity === 'FATAL' || error.severity === 'PANIC' || /^(08|57P)/.test(error.code ?? '');
}

function said(error: unknown): string {
  return error instanceof Error ? error.message || error.name : String(error);
}

import type pg from 'pg';
import type { Target } from '../../domain/target.ts';
import type { Catalogue } from '../catalogue.ts';
import { CATALOGUE_POLL_MS, type TargetCredentials, type TargetEngine } from '../engine.ts';
import { apply } from './apply.ts';
import { loadCatalogue, type SeenCatalogue, seeCatalogue } from './catalogue.ts';
import { connectOwn, connectSession, readIdentity } from './connect.ts';
import { readDefinitions } from './definitions.ts';
import { readFingerprint } from './fingerprint.ts';
import { inspect } from './health/inspect.ts';
import { statementStatistics } from './health/statement-statistics.ts';
import { keepNewTables } from './keep-new-tables.ts';
import { appliedState, forgetMarks, settledWrite } from './marks.ts';
import { measure } from './measure.ts';
import { createWaitingLook } from './others-waiting.ts';
import { provisionProfile } from './profiles.ts';
import { quarantined } from './quarantine/list.ts';
import { retireProfiles } from './retire-profiles.ts';
import { beyondKeeping, dropKept } from './undo/expire-kept.ts';
import { definitionsDigest } from './undo/inverse.ts';
import { keptRows } from './undo/kept-rows.ts';
import { forgetRows, layRows } from './undo/lay-rows.ts';

/**
 * Opens the engine of a PostgreSQL target. Its identity is verified on this connection and every later one (G9).
 *
 * @throws RefusalError `unavailable` or `identityMismatch`.
 */
export async function openPostgresTarget(deps: {
  readonly target: Target;
  readonly credentials: TargetCredentials;
  /** Whether tables that come by another way are given what keeps the rows of writes to them; left out, they aren't. */
  readonly keepsWrites?: () => boolean;
  /** Told when the catalogue could not be watched; it is tried again. */
  readonly onTrouble: (error: unknown) => void;
}): Promise<TargetEngine> {
  const { target, credentials } = deps;
  const own = createOwnConnection(() => connectOwn(target, credentials.session));
  const query = async (sql: string): Promise<Record<string, unknown>[]> =>
    (await own.use((client) => client.query(sql))).rows;
  const othersWaiting = createWaitingLook((sql) => own.use((client) => client.query(sql)));
  const connectHealth = () => connectOwn(target, credentials.session);
  const connectApply = () => connectOwn(target, credentials.apply);
  /** Nobody else may see what is kept of changes. */
  async function asApplier<Result>(work: (client: pg.Client) => Promise<Result>): Promise<Result> {
    const client = await connectApply();
    try {
      return await work(client);
    } finally {
      await client.end();
    }
  }
  let current: Catalogue = await catalogueNow();
  let seen: SeenCatalogue | undefined;

  async function catalogueNow(): Promise<Catalogue> {
    if (deps.keepsWrites?.() === true) {
      const { onTrouble } = deps;
      await keepNewTables({ ask: query, applyLogin: credentials.apply.user, asApplier, onTrouble }).catch(onTrouble);
    }
    return loadCatalogue(query);
  }

  async function refreshCatalogue(): Promise<Catalogue> {
    seen = await seeCatalogue(query, seen);
    if (seen.version !== current.version) current = await catalogueNow();
    return current;
  }

  const poll = setInterval(() => {
    refreshCatalogue().catch(deps.onTrouble);
  }, CATALOGUE_POLL_MS);
  poll.unref();

  const engine: TargetEngine = {
    target,
    identify: () =>
      own.use((client) =>
        readIdentity(target.endpoint, async (sql) => {
          const { rows } = await client.query({ text: sql, rowMode: 'array' });
          return rows as (string | null)[][];
        }),
      ),
    currentCatalogue: () => current,
    refreshCatalogue,
    provision: (profile) =>
      own.use((client) => provisionProfile(client, profile, { target, secret: credentials.session.password })),
    retireProfiles: (request) => own.use((client) => retireProfiles(client, { ...request, target })),
    openSession: (login) => connectSession(target, login),
    inspect: (request) => inspect(connectHealth, request),
    statementStatistics: (order) => statementStatistics(connectHealth, order),
    async terminate(processIds) {
      await own.use((client) =>
        client.query('SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.unnest($1::integer[]) AS t (pid)', [
          processIds,
        ]),
      );
    },
    othersWaiting,
    async measure(request) {
      const identity = await engine.identify();
      return measure(request, { connect: connectApply, identity, ownLogin: credentials.session.user });
    },
    apply: (request) => apply(request, { connect: connectApply, appliedState: (plan) => engine.appliedState(plan) }),
    forgetRows: (change) => asApplier((client) => forgetRows(client, change)),
    layRows: (change, tables) => asApplier((client) => layRows(client, change, tables)),
    keptRows: (change) => asApplier((client) => keptRows(client, change)),
    definitionsNow: (objects) => asApplier(async (client) => definitionsDigest(await readFingerprint(client), objects)),
    async definitions() {
      // Of a large schema this takes its time: whoever halts must not wait for it.
      const client = await connectHealth();
      try {
        return await readDefinitions(client);
      } finally {
        await client.end();
      }
    },
    quarantined: () => asApplier(quarantined),
    beyondKeeping: (bounds) => asApplier((client) => beyondKeeping(client, bounds)),
    dropKept: (expired) => asApplier((client) => dropKept(client, expired)),
    forgetMarks: (which) => asApplier((client) => forgetMarks(client, which)),
    appliedState: (plan) => own.use((client) => appliedState(client, plan)),
    writtenState: (intent) => own.use((client) => settledWrite(client, intent)),
    async close() {
      clearInterval(poll);
      await own.close();
    },
  };
  return engine;
}

/** The gateway's own connection to a target: made when needed, made anew when it was lost, used by one at a time. */
function createOwnConnection(connect: () => Promise<pg.Client>): {
  use<Result>(work: (client: pg.Client) => Promise<Result>): Promise<Result>;
  close(): Promise<void>;
} {
  let client: Promise<pg.Client> | null = null;
  let turn: Promise<unknown> = Promise.resolve();

  async function open(): Promise<pg.Client> {
    const opened = await connect();
    const forget = (): void => {
      client = null;
    };
    opened.once('error', forget);
    opened.once('end', forget);
    return opened;
  }

  return {
    use(work) {
      const mine = turn.then(async () => {
        client ??= open();
        try {
          return await work(await client);
        } catch (error) {
          // A connection that could not be made must not be kept as a failed promise.
          if (client !== null && (await client.catch(() => null)) === null) client = null;
          throw error;
        }
      });
      turn = mine.catch(() => undefined /* whoever asked is told */);
      return mine;
    },
    async close() {
      await turn;
      const open = await client?.catch(() => null);
      client = null;
      await open?.end();
    },
  };
}

import { existsSync, rmSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import type { Channel } from '../config/scenario-schema.ts';
import { quoteLiteral } from '../engines/postgres/quote.ts';
import { send } from './attempt.ts';
import type { CancelKey, Carriage, Reply } from './carriage.ts';
import {
  differences,
  type Fingerprint,
  OF_THE_CLUSTER,
  onlySequencesAdvanced,
  takeFingerprint,
} from './fingerprint.ts';
import { STATEMENT_TIMEOUT_MS } from './gateway-lane.ts';
import { bringBack, keepRows } from './kept-rows.ts';
import type { Lane } from './lane.ts';
import { type Attempt, probe, type Scenario } from './scenario.ts';
import { filledIn, type Surroundings, wordsFor } from './surroundings.ts';

/** What the oracle found after an attack. */
export interface Trial {
  readonly harmed: boolean;
  /** What differs, leaked, lasted or broke: a line each. */
  readonly found: readonly string[];
  /** Sequences that a rolled-back trial moved on: no harm, and yet not nothing. */
  readonly gaps: boolean;
  readonly reply: Reply;
  readonly milliseconds: number;
}

/** Watches one lane: takes fingerprints around everything that is tried on it, and has harm undone. */
export interface Watcher {
  try(scenario: Scenario, attempt: Attempt, channel: Channel): Promise<Trial>;
  /** Harmless work. @returns what came back; errors mean that it was refused. */
  work(scenario: Scenario, attempt: Attempt, channel: Channel): Promise<Reply>;
  /** What is there now is as it should be. */
  rebase(): Promise<void>;
  close(): Promise<void>;
}

/** What ends by itself when a session ends, and gets this long to. */
const PASSING: ReadonlySet<string> = new Set(['sessions at work', 'advisory locks']);
const SETTLE_MS = [30, 80, 200, 500, 1200];
const GRACE_MS = 1500;
const NEIGHBOUR_START_MS = 250;
const NEIGHBOUR_PATIENCE_MS = 1300;

export async function watch(lane: Lane, surroundings: Surroundings): Promise<Watcher> {
  let client = await lane.watch();
  let baseline = await takeFingerprint(client);
  let kept = await keepRows(client);
  let heard: string[] = [];

  async function again(): Promise<void> {
    await client.end().catch(() => undefined /* it may have been ended by an attack */);
    client = await lane.watch();
    client.on('notification', ({ channel, payload }) => heard.push(`NOTIFY ${channel}: ${payload ?? ''}`));
  }
  await again();

  async function undo(found: readonly string[]): Promise<void> {
    const brought = await bringBack(client, kept, found).catch(() => false);
    if (brought && differences(baseline, await takeFingerprint(client)).length === 0) return;
    const cluster = found.some((line) => OF_THE_CLUSTER.has(line)) || found.includes(GONE);
    await client.end().catch(() => undefined);
    await lane.restore(cluster);
    await again();
    baseline = await takeFingerprint(client);
  }

  /** @returns the differences that stay. */
  async function changes(): Promise<{ readonly found: readonly string[]; readonly now: Fingerprint }> {
    let now = baseline;
    let found: readonly string[] = [];
    for (const waitMs of [0, ...SETTLE_MS]) {
      if (waitMs > 0) await delay(waitMs);
      now = await takeFingerprint(client).catch(async () => {
        await again();
        return takeFingerprint(client);
      });
      found = differences(baseline, now);
      if (!found.every((line) => PASSING.has(line)) || found.length === 0) break;
    }
    return { found, now };
  }

  async function value(sql: string): Promise<unknown> {
    const { rows } = await client.query<unknown[]>({ text: sql, rowMode: 'array' });
    return (rows[0] as unknown[] | undefined)?.[0];
  }

  return {
    async try(scenario, written, channel) {
      const startedMs = performance.now();
      const words = wordsOf(scenario);
      const attempt = flipped(scenario, written);
      const way = await lane.enter(scenario);
      heard = [];
      for (const name of scenario.listen) await client.query(`LISTEN ${name}`);
      const before = scenario.before === undefined ? '' : String(await value(filledIn(scenario.before, words)));
      const found: string[] = [];
      const reply = await run(scenario, { attempt, channel, way, words }, found);
      if (existsSync(words['file'] ?? '')) {
        found.push('a file on the server');
        rmSync(words['file'] ?? '');
      }
      if (scenario.oracle === 'leaked' && reply.received.includes(surroundings.canary))
        found.push('the canary reached the actor');
      const state = await changes().catch(() => undefined);
      if (state === undefined) found.push(GONE);
      else if (scenario.damage !== undefined) {
        const sql = filledIn(scenario.damage, { ...words, before: quoteLiteral(before) });
        if ((await value(sql)) === true) found.push('the damage that the scenario names');
      } else if (scenario.oracle === 'changed' || lane.name !== 'bare') found.push(...state.found, ...heard);
      for (const name of scenario.listen) await client.query(`UNLISTEN ${name}`).catch(() => undefined);
      const gaps = state !== undefined && state.found.length > 0 && onlySequencesAdvanced(baseline, state.now);
      // A held write was tried in a transaction that was rolled back: the numbers it took are gone.
      const triedOnly = gaps && reply.errors.includes('CS001') && scenario.damage === undefined;
      const harmed = found.length > 0 && !(triedOnly && found.every((line) => line.startsWith('sequence ')));
      if (state === undefined || (harmed && state.found.length > 0)) await undo(state?.found ?? found);
      else if (state.found.length > 0) {
        if (lane.name === 'bare') await undo(state.found);
        else {
          baseline = state.now;
          kept = await keepRows(client);
        }
      }
      return { harmed, found, gaps, reply, milliseconds: Math.round(performance.now() - startedMs) };
    },
    async work(scenario, attempt, channel) {
      return send({ attempt, channel, way: await lane.enter(scenario), words: wordsOf(scenario) });
    },
    async rebase() {
      await again();
      baseline = await takeFingerprint(client);
      kept = await keepRows(client);
    },
    async close() {
      await client.end().catch(() => undefined);
    },
  };

  /** Lanes are side by side, and so are the files that attacks write. */
  function wordsOf(scenario: Scenario): Readonly<Record<string, string>> {
    const words = wordsFor(scenario, surroundings);
    return { ...words, file: `${words['file']}-${lane.name}` };
  }

  function flipped({ flip }: Scenario, attempt: Attempt): Attempt {
    if (!flip || lane.name !== 'bare') return attempt;
    if (attempt.acts !== null) return { ...attempt, acts: [{ query: FLIP }, { wait: true }, ...attempt.acts] };
    return { ...attempt, statements: [FLIP, ...attempt.statements] };
  }

  async function run(scenario: Scenario, carriage: Carriage, found: string[]): Promise<Reply> {
    switch (scenario.oracle) {
      case 'outlasted':
        return outlasting(carriage, found);
      case 'neighbour':
        return besideNeighbour(scenario, carriage, found);
      default:
        return send(carriage);
    }
  }

  /** Whether what the attempt began is still at work when its time is over. */
  async function outlasting(carriage: Carriage, found: string[]): Promise<Reply> {
    const abort = new AbortController();
    const sent = send({ ...carriage, signal: abort.signal });
    const limit = delay(STATEMENT_TIMEOUT_MS + GRACE_MS).then(() => 'limit' as const);
    if ((await Promise.race([sent, limit])) === 'limit') {
      const { rows } = await client.query<{ pid: number }>(STILL_AT_WORK, [STATEMENT_TIMEOUT_MS + GRACE_MS / 2]);
      if (rows.length > 0) found.push('it still runs when its time is over');
      abort.abort();
      for (const { pid } of rows) await client.query('SELECT pg_catalog.pg_terminate_backend($1)', [pid]);
    }
    return sent;
  }

  /** Another session of the same kind is at work; the attack must not end it, nor hold it up, nor keep the next one out. */
  async function besideNeighbour(scenario: Scenario, carriage: Carriage, found: string[]): Promise<Reply> {
    const abort = new AbortController();
    const { signal } = abort;
    let key: CancelKey | undefined;
    const work: Carriage = {
      attempt: probe(filledIn(scenario.neighbour, carriage.words)),
      channel: 'simple',
      way: await lane.enter(scenario),
      words: carriage.words,
      signal,
    };
    // What a first connection takes on a busy machine is nobody's attack.
    await send({ ...work, attempt: probe('SELECT 1') });
    // Either may be first: what is at work is ended, what comes later is held up or kept out.
    const early = send({
      ...work,
      onOpen: (issued) => {
        key = issued;
      },
    });
    await delay(NEIGHBOUR_START_MS);
    const begun = Promise.withResolvers<void>();
    const sent = send({ ...carriage, signal, neighbour: () => key, onOpen: () => begun.resolve() });
    await Promise.race([Promise.all([begun.promise, delay(NEIGHBOUR_START_MS)]), sent]);
    const late = send(work);
    const ended = await Promise.race([Promise.all([early, late]), delay(NEIGHBOUR_PATIENCE_MS)]);
    if (ended === undefined) found.push('the neighbour is held up');
    for (const { errors } of ended ?? [])
      if (errors.length > 0) found.push(`the neighbour failed: ${errors.join(', ')}`);
    abort.abort();
    return sent;
  }
}

const FLIP = 'SET default_transaction_read_only = off';
const GONE = 'the database is gone';

const STILL_AT_WORK = `
  SELECT pid FROM pg_catalog.pg_stat_activity
  WHERE backend_type = 'client backend' AND state = 'active' AND pid <> pg_catalog.pg_backend_pid()
    AND pg_catalog.now() - query_start > $1 * interval '1 millisecond' AND usename !~ '^countersign'`;

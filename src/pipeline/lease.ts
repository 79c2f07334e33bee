import type { Refusal } from '../domain/refusal.ts';

/**
 * For how long this process may act on what it knows: each renewal is good for a while from the moment before it was
 * sent. Whoever can't renew is cut off, can't know of a halt or of a newer policy, and refuses everything (G11, G12).
 */
export interface Lease {
  /** Stops renewing; what is under way ends. */
  close(): Promise<void>;
}

/** How often within its time a lease is renewed. */
const RENEWALS = 5;
const RENEW_AT_MOST_EVERY_MS = 1000;
const LOOK_EVERY_MS = 50;

/**
 * Begins with a renewal, and goes on until it is closed.
 *
 * @throws what the first renewal throws: a process that never had a lease doesn't begin.
 */
export async function holdLease(deps: {
  /** Reaches the store, and reads what must be known. */
  readonly renew: () => Promise<void>;
  /** `null`: nothing can come between this process and the store, so it only tells that it lives. */
  readonly leaseMs: number | null;
  /** Called with a refusal when the time is over, and with `undefined` once a renewal succeeded again. */
  readonly onStanding: (cutOff: Refusal | undefined) => void;
  readonly onFailure: (error: unknown) => void;
}): Promise<Lease> {
  const { leaseMs } = deps;
  const ended = new AbortController();
  let renewed = now();
  let cutOff = false;

  async function renew(): Promise<void> {
    const sent = now();
    await deps.renew();
    if (leaseMs !== null && isOver(sent, leaseMs)) throw new Error(`the state store took longer than ${leaseMs} ms`);
    renewed = sent;
    if (!cutOff) return;
    cutOff = false;
    deps.onStanding(undefined);
  }

  function look(boundMs: number): void {
    if (cutOff || !isOver(renewed, boundMs)) return;
    cutOff = true;
    deps.onStanding(cutOffRefusal(boundMs));
  }

  async function run(): Promise<void> {
    const everyMs = Math.min(RENEW_AT_MOST_EVERY_MS, (leaseMs ?? Number.POSITIVE_INFINITY) / RENEWALS);
    while (!ended.signal.aborted) {
      await pause(everyMs, ended.signal);
      if (ended.signal.aborted) return;
      await renew().catch(deps.onFailure);
    }
  }

  await renew();
  const looking = leaseMs === null ? undefined : setInterval(() => look(leaseMs), LOOK_EVERY_MS).unref();
  const running = run();
  return {
    async close() {
      ended.abort();
      await running;
      clearInterval(looking);
    },
  };
}

interface Moment {
  readonly monotonicMs: number;
  readonly wallMs: number;
}

function now(): Moment {
  return { monotonicMs: performance.now(), wallMs: Date.now() };
}

/** By either clock: one stands still while the machine sleeps, the other one can be set. */
function isOver(since: Moment, boundMs: number): boolean {
  const { monotonicMs, wallMs } = now();
  return monotonicMs - since.monotonicMs >= boundMs || Math.abs(wallMs - since.wallMs) >= boundMs;
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    timer.unref();
    signal.addEventListener(
      'abort',
      () => {
        clearTimeout(timer);
        resolve();
      },
      { once: true },
    );
  });
}

function cutOffRefusal(leaseMs: number): Refusal {
  return {
    refused: 'unavailable',
    message: `This gateway has not reached the state store for ${leaseMs / 1000} s: it can’t know whether it was halted, so it does nothing.`,
    hint: 'Nothing took effect. It goes on by itself when the store answers; until then, use another gateway.',
  };
}

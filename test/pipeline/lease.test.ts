import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { holdLease, type Lease } from '../../src/pipeline/lease.ts';

const LEASE_MS = 300;

describe('G11 a lease', () => {
  let lease: Lease | undefined;
  afterEach(async () => {
    vi.useRealTimers();
    await lease?.close();
  });

  /** A store that answers as it is told, and what the lease made of it. */
  async function hold(leaseMs: number | null = LEASE_MS) {
    const told: string[] = [];
    const store = { answers: true, delayMs: 0, renewals: 0 };
    lease = await holdLease({
      leaseMs,
      async renew() {
        await sleep(store.delayMs);
        if (!store.answers) throw new Error('gone');
        store.renewals++;
      },
      onStanding: (cutOff) => told.push(cutOff === undefined ? 'back' : cutOff.refused),
      onFailure: () => undefined,
    });
    return { told, store };
  }

  it('is held as long as it is renewed', async () => {
    const { told, store } = await hold();
    await sleep(3 * LEASE_MS);
    expect(told).toEqual([]);
    expect(store.renewals).toBeGreaterThan(5);
  });

  it('is over when nothing answers for its time, and is told once; it is back with the next answer', async () => {
    const { told, store } = await hold();
    store.answers = false;
    const beganMs = performance.now();
    await expect.poll(() => told, { interval: 5 }).toEqual(['unavailable']);
    expect(performance.now() - beganMs).toBeLessThan(LEASE_MS + 200);
    await sleep(2 * LEASE_MS);
    expect(told).toEqual(['unavailable']);
    store.answers = true;
    await expect.poll(() => told).toEqual(['unavailable', 'back']);
  });

  it('counts from before it was asked: an answer that took longer renews nothing', async () => {
    const { told, store } = await hold();
    store.delayMs = LEASE_MS + 50;
    await sleep(4 * LEASE_MS);
    expect(told).toEqual(['unavailable']);
  });

  it('is over at once when the machine has slept', async () => {
    const { told, store } = await hold();
    store.answers = false;
    vi.useFakeTimers({ toFake: ['Date'] });
    vi.setSystemTime(Date.now() + 60_000);
    await sleep(120);
    expect(told).toEqual(['unavailable']);
  });

  it('is not begun by whoever never had an answer', async () => {
    const never = holdLease({
      leaseMs: LEASE_MS,
      renew: () => Promise.reject(new Error('gone')),
      onStanding: () => undefined,
      onFailure: () => undefined,
    });
    await expect(never).rejects.toThrow('gone');
  });

  it('is never over where nothing can come in between', async () => {
    const { told, store } = await hold(null);
    store.answers = false;
    await sleep(2 * LEASE_MS);
    expect(told).toEqual([]);
  });
});

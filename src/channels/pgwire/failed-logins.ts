import type { Socket } from 'node:net';
import { networkOf } from '../../domain/network.ts';

/**
 * Slows down whoever tries secrets. Every failure is answered late by the same time, whatever was wrong; an address with
 * many failures waits longer, and only so many may wait at once. A client with the right secret never waits: nobody can
 * lock out others who share an address. (Secrets are too long to be guessed; this saves the gateway's strength.)
 */
export interface FailedLogins {
  /**
   * Counts a failure and resolves when it may be answered, or its connection is gone. Resolves to `false` at once when it
   * is to get no answer: too many of its address wait already.
   */
  wait(socket: Socket, address: string): Promise<boolean>;
}

const DELAY_MS = 250;
const MANY_DELAY_MS = 2000;
const MANY = 10;
const WINDOW_MS = 60_000;
const WAITING_AT_ONCE = 32;
/** Addresses are forgotten, the oldest first, beyond this many. */
const ADDRESSES = 10_000;

interface Record {
  failures: number;
  windowEndsMs: number;
  waiting: number;
}

/** @param nowMs A clock in milliseconds. */
export function createFailedLogins(nowMs: () => number): FailedLogins {
  const records = new Map<string, Record>();

  function recordOf(address: string): Record {
    const found = records.get(address);
    const now = nowMs();
    if (found !== undefined && (found.waiting > 0 || now < found.windowEndsMs)) {
      if (now >= found.windowEndsMs) Object.assign(found, { failures: 0, windowEndsMs: now + WINDOW_MS });
      return found;
    }
    const fresh = { failures: 0, windowEndsMs: now + WINDOW_MS, waiting: 0 };
    records.delete(address);
    records.set(address, fresh);
    for (const oldest of records.keys()) {
      if (records.size <= ADDRESSES) break;
      records.delete(oldest);
    }
    return fresh;
  }

  return {
    async wait(socket, address) {
      const record = recordOf(networkOf(address));
      record.failures++;
      if (record.waiting >= WAITING_AT_ONCE) return false;
      record.waiting++;
      await elapse(socket, record.failures > MANY ? MANY_DELAY_MS : DELAY_MS);
      record.waiting--;
      return true;
    },
  };
}

function elapse(socket: Socket, timeMs: number): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      socket.off('close', done);
      resolve();
    };
    const timer = setTimeout(done, timeMs);
    if (socket.destroyed) done();
    else socket.on('close', done);
  });
}

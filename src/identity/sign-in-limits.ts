import { networkOf } from '../domain/network.ts';

/** Locks out whoever keeps failing to sign in. */
export interface SignInLimits {
  /** For how many milliseconds more nothing from this address is looked at; 0 when it is. */
  lockedFor(address: string): number;
  failed(address: string): void;
  succeeded(address: string): void;
}

const MANY = 10;
const FIRST_LOCK_MS = 60_000;
const LONGEST_LOCK_MS = 15 * 60_000;
/** After which time without a failure an address is as good as any other. */
const FORGIVEN_AFTER_MS = 30 * 60_000;
/** Addresses are forgotten, the oldest first, beyond this many. */
const ADDRESSES = 10_000;

interface Failures {
  count: number;
  lastMs: number;
  lockedUntilMs: number;
}

/**
 * Ten failures lock an address out for a minute, each further one for twice as long, up to a quarter of an hour. Secrets
 * are too long to be guessed; this saves the gateway's strength, and makes whoever tries show. It is kept by each gateway
 * for itself. Nobody is locked out as a person: that would let strangers keep the one away who is needed.
 */
export function createSignInLimits(nowMs: () => number, onLocked: (address: string) => void): SignInLimits {
  const known = new Map<string, Failures>();
  return {
    lockedFor(address) {
      return Math.max(0, (known.get(networkOf(address))?.lockedUntilMs ?? 0) - nowMs());
    },
    failed(address) {
      const network = networkOf(address);
      const now = nowMs();
      const before = known.get(network);
      const count = before === undefined || now - before.lastMs > FORGIVEN_AFTER_MS ? 1 : before.count + 1;
      const lockMs = count < MANY ? 0 : Math.min(LONGEST_LOCK_MS, FIRST_LOCK_MS * 2 ** Math.min(count - MANY, 8));
      if (lockMs > 0) onLocked(network);
      known.delete(network);
      known.set(network, { count, lastMs: now, lockedUntilMs: lockMs === 0 ? 0 : now + lockMs });
      for (const oldest of known.keys()) {
        if (known.size <= ADDRESSES) break;
        known.delete(oldest);
      }
    },
    succeeded(address) {
      known.delete(networkOf(address));
    },
  };
}

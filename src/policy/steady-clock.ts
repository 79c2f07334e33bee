import type { Clock } from '../domain/clock.ts';

/** Time that never runs backwards. */
export interface SteadyClock {
  /** The latest time that was ever told, in milliseconds since the epoch, and whether the clock itself is behind it. */
  read(): { readonly nowMs: number; readonly latestMs: number; readonly wentBack: boolean };
}

/** Clocks are corrected by so much without anybody having set them; that is no other time. */
const TOLERANCE_MS = 1000;

/** One for a whole gateway: what it remembers outlives a reload. Only a restart makes it believe an earlier time. */
export function steadyClock(clock: Clock): SteadyClock {
  let latestMs = Number.NEGATIVE_INFINITY;
  return {
    read() {
      const nowMs = clock.now();
      if (nowMs > latestMs) latestMs = nowMs;
      return { nowMs, latestMs, wentBack: nowMs < latestMs - TOLERANCE_MS };
    },
  };
}

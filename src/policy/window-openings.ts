import { Cron } from 'croner';
import { Temporal } from 'temporal-polyfill';
import type { ChangeWindow } from '../domain/change-time.ts';

/** A time that a window is open, in milliseconds since the epoch; `closesMs` is no longer in it. */
export interface OpenTime {
  readonly opensMs: number;
  readonly closesMs: number;
}

export interface WindowOpenings {
  /** The time that is open at an instant: of several the one that closes last. */
  at(nowMs: number): OpenTime | undefined;
  /** The first that opens later than an instant. */
  after(nowMs: number): OpenTime | undefined;
}

/** Openings in a row that fall on holidays; after so many none is looked for any more. */
const MAX_HOLIDAYS_IN_A_ROW = 1000;

/**
 * When a window opens and closes. Where its wall-clock time doesn't exist, because clocks are put forward over it, it
 * opens at the end of the gap; where it comes twice, because they are put back, it opens at the first. A holiday closes
 * it from midnight on, and what would have opened on it stays closed to its end.
 */
export function windowOpenings(window: ChangeWindow): WindowOpenings {
  const cron = new Cron(window.opens, { timezone: window.timeZone, mode: '5-part', paused: true });

  /** Openings later than an instant, holidays and second times left out. */
  function* openingsAfter(fromMs: number): Generator<OpenTime> {
    let leftOut = 0;
    for (let next = cron.nextRun(new Date(fromMs)); next !== null; next = cron.nextRun(next)) {
      const open = openTime(next.getTime());
      if (open === undefined) {
        if (++leftOut > MAX_HOLIDAYS_IN_A_ROW) return;
        continue;
      }
      leftOut = 0;
      yield open;
    }
  }

  function openTime(opensMs: number): OpenTime | undefined {
    const opens = Temporal.Instant.fromEpochMilliseconds(opensMs).toZonedDateTimeISO(window.timeZone);
    if (isSecondTime(opens)) return undefined;
    if (window.holidays.has(opens.toPlainDate().toString())) return undefined;
    let closesMs = opensMs + window.openMs;
    for (let day = opens.toPlainDate().add({ days: 1 }); ; day = day.add({ days: 1 })) {
      const midnightMs = day.toZonedDateTime(window.timeZone).epochMilliseconds;
      if (midnightMs >= closesMs) break;
      if (window.holidays.has(day.toString())) closesMs = midnightMs;
    }
    return { opensMs, closesMs };
  }

  return {
    at(nowMs) {
      let found: OpenTime | undefined;
      // Later than `now - openMs` is the earliest that can still be open.
      for (const open of openingsAfter(nowMs - window.openMs)) {
        if (open.opensMs > nowMs) break;
        if (nowMs < open.closesMs && open.closesMs >= (found?.closesMs ?? 0)) found = open;
      }
      return found;
    },
    after: (nowMs) => openingsAfter(nowMs).next().value ?? undefined,
  };
}

/** Whether the clocks were put back, and this wall-clock time has been once before. */
function isSecondTime(at: Temporal.ZonedDateTime): boolean {
  const first = at.toPlainDateTime().toZonedDateTime(at.timeZoneId, { disambiguation: 'earlier' });
  return Temporal.ZonedDateTime.compare(first, at) < 0;
}

import type { ActorId, Instant } from './ids.ts';

/** A stretch of time in which nothing is changed. */
export interface Freeze {
  /** An environment's id; `*` is every one. */
  readonly environment: string;
  readonly from: Instant;
  readonly until: Instant;
  readonly reason: string;
  /** People whose countersignature of a plan that names this freeze lifts it for that plan, where policy lets it. */
  readonly override: readonly ActorId[];
}

/** A named, recurring time in which an environment may be changed. */
export interface ChangeWindow {
  readonly name: string;
  /** As IANA names it: Europe/Berlin. */
  readonly timeZone: string;
  /** When it opens by the zone's wall clock: a cron pattern of five fields. */
  readonly opens: string;
  /** How long it stays open. Elapsed time: an hour is an hour, also in the night when clocks change. */
  readonly openMs: number;
  /** Days of the zone's calendar, as YYYY-MM-DD, on which it stays closed. */
  readonly holidays: ReadonlySet<string>;
  /** The schedule as a person reads it: `mon–fri 22:00 for 2h`. */
  readonly schedule: string;
}

/** One time that a window is open. */
export interface Opening {
  readonly window: string;
  readonly timeZone: string;
  readonly opens: Instant;
  readonly closes: Instant;
}

/** Whether now is a time to change an environment. The same object as long as the same holds. */
export interface ChangeTime {
  /** Those in force. */
  readonly freezes: readonly Freeze[];
  /** `always` where the environment has no windows. */
  readonly window: 'always' | 'open' | 'closed';
  /** What is open now, or else opens next. */
  readonly opening: Opening | null;
  /** All windows, as a person reads them. */
  readonly windows: readonly string[];
  /** The clock went back: until it has come here again nobody can tell which time it is, and nothing is open. */
  readonly clockWentBackFrom: Instant | null;
}

/** Where there is neither window nor freeze. */
export const ANY_TIME: ChangeTime = {
  freezes: [],
  window: 'always',
  opening: null,
  windows: [],
  clockWentBackFrom: null,
};

import type { ChangeTime, Freeze, Opening } from './change-time.ts';
import type { Obligation } from './decision.ts';
import type { Instant } from './ids.ts';

/**
 * An obligation as a person reads it, to complete "missing: …".
 *
 * @param nowMs for how long it still takes.
 */
export function describeObligation(obligation: Obligation, nowMs: number): string {
  switch (obligation.obligation) {
    case 'approvals':
      return obligation.count === 1
        ? 'the countersignature of one person'
        : `the countersignatures of ${obligation.count} people`;
    case 'after freeze': {
      const over = (obligation.override ?? []).join(' or ');
      const lifted = over === '' ? '' : `, or the countersignature of ${over} on a plan that names this freeze`;
      return `the end of the freeze at ${obligation.until} (${obligation.reason})${lifted}`;
    }
    case 'in window':
      return `a change window; it may be applied in: ${describeNext(obligation.next, obligation.windows, nowMs)}`;
    case 'fresh drill':
      return `a fresh drill of a backup, because it can’t be taken back (${obligation.newest === null ? 'none has passed' : `the last one passed ${obligation.newest}`}): countersign backup create, countersign drill run`;
    case 'no drift':
      return `an end of the drift: ${obligation.objects} object${obligation.objects === 1 ? ' is' : 's are'} not as the baseline has them, since ${obligation.since}: countersign drift show, then drift accept, or have it taken back`;
    case 'steady clock':
      return `a clock that can be trusted: the gateway’s went back, and until it is past ${obligation.until} nothing is open`;
    default:
      return obligation satisfies never;
  }
}

/** Freezes in force, then how it stands with windows. Empty where any time will do. */
export function describeChangeTime(time: ChangeTime, nowMs: number): readonly string[] {
  return [...time.freezes.map(describeFreeze), ...(time.window === 'always' ? [] : [describeWindow(time, nowMs)])];
}

/** The window that is open, or the one that opens next. */
export function describeWindow(time: ChangeTime, nowMs: number): string {
  if (time.clockWentBackFrom !== null) {
    return `no change window is open: the gateway’s clock went back, and must first be past ${time.clockWentBackFrom}`;
  }
  if (time.window === 'open' && time.opening !== null) {
    return `a change window is open: ${describeOpening(time.opening, nowMs)}`;
  }
  return `no change window is open; next: ${describeNext(time.opening, time.windows, nowMs)}`;
}

function describeFreeze({ until, reason, override }: Freeze): string {
  const who = override.length === 0 ? '' : `; ${override.join(' or ')} may override it`;
  return `frozen until ${until}: ${reason}${who}`;
}

function describeNext(next: Opening | null, windows: readonly string[], nowMs: number): string {
  return next === null ? `none opens any more (${windows.join('; ')})` : describeOpening(next, nowMs);
}

/** `Tue 24 Nov 22:00–24:00 Europe/Berlin (nightly; opens in 3 h)` */
function describeOpening(opening: Opening, nowMs: number): string {
  const { window, timeZone, opens, closes } = opening;
  const opensMs = Date.parse(opens);
  const closesMs = Date.parse(closes);
  const when =
    nowMs < opensMs
      ? `opens in ${describeSpan(opensMs - nowMs)}`
      : nowMs < closesMs
        ? `closes in ${describeSpan(closesMs - nowMs)}`
        : 'is over';
  const from = wallClock(opens, timeZone);
  const to = wallClock(closes, timeZone);
  const end =
    from.day === to.day ? to.time : isMidnightAfter(to, closesMs - opensMs) ? '24:00' : `${to.day} ${to.time}`;
  return `${from.day} ${from.time}–${end} ${timeZone} (${window}; ${when})`;
}

interface WallClock {
  readonly day: string;
  readonly time: string;
}

/** By the clock on the wall of that zone. Parts are put together here: how locales do it changes from one Node to the next. */
function wallClock(at: Instant, timeZone: string): WallClock {
  const parts = new Intl.DateTimeFormat('en-GB', {
    timeZone,
    weekday: 'short',
    day: 'numeric',
    month: 'short',
    hour: '2-digit',
    minute: '2-digit',
    hourCycle: 'h23',
  }).formatToParts(new Date(at));
  const part = (type: Intl.DateTimeFormatPartTypes) => parts.find((found) => found.type === type)?.value ?? '';
  return {
    day: `${part('weekday')} ${part('day')} ${part('month')}`,
    time: `${part('hour')}:${part('minute')}`,
  };
}

/** Midnight belongs to the evening before: 22:00–24:00. */
function isMidnightAfter(to: WallClock, openMs: number): boolean {
  return to.time === '00:00' && openMs < DAY_MS;
}

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

/** Two units at most: 3 d 4 h, 3 h, 12 min. */
export function describeSpan(ms: number): string {
  if (ms < MINUTE_MS) return 'less than a minute';
  const [days, hours, minutes] = [
    Math.floor(ms / DAY_MS),
    Math.floor((ms % DAY_MS) / HOUR_MS),
    Math.floor((ms % HOUR_MS) / MINUTE_MS),
  ];
  const said = [
    [days, 'd'],
    [hours, 'h'],
    [days > 0 ? 0 : minutes, 'min'],
  ] as const;
  return said.flatMap(([count, unit]) => (count > 0 ? [`${count} ${unit}`] : [])).join(' ');
}

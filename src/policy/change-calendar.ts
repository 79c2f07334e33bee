import { ANY_TIME, type ChangeTime, type ChangeWindow, type Freeze, type Opening } from '../domain/change-time.ts';
import { instantOf } from '../domain/ids.ts';
import type { SteadyClock } from './steady-clock.ts';
import { type OpenTime, type WindowOpenings, windowOpenings } from './window-openings.ts';

/** Tells whether now is a time to change an environment. Asked for every statement: it calculates only when that changes. */
export type ChangeCalendar = () => ChangeTime;

export function createChangeCalendar(deps: {
  readonly windows: readonly ChangeWindow[];
  /** Those of this environment. */
  readonly freezes: readonly Freeze[];
  readonly clock: SteadyClock;
}): ChangeCalendar {
  const { windows, freezes, clock } = deps;
  if (windows.length === 0 && freezes.length === 0) return () => ANY_TIME;
  const calendars = windows.map((window) => ({ window, openings: windowOpenings(window) }));
  const said = windows.map(({ name, schedule, timeZone }) => `${name}: ${schedule}, ${timeZone}`);
  let known: { readonly time: ChangeTime; readonly fromMs: number; readonly untilMs: number } | undefined;
  let behind: { readonly time: ChangeTime; readonly nowMs: number; readonly latestMs: number } | undefined;

  return () => {
    const { nowMs, latestMs, wentBack } = clock.read();
    if (wentBack) {
      // A freeze may begin or end between what the clock says and what it has said.
      if (behind === undefined || behind.latestMs !== latestMs || behind.nowMs > nowMs) {
        behind = { time: timeBehind(nowMs, latestMs), nowMs, latestMs };
      }
      return behind.time;
    }
    behind = undefined;
    if (known === undefined || latestMs < known.fromMs || latestMs >= known.untilMs) known = timeAt(latestMs);
    return known.time;
  };

  /** Fails closed: which of the times between the two it is can't be told, so what covers any of them covers all. */
  function timeBehind(nowMs: number, latestMs: number): ChangeTime {
    return {
      freezes: freezes.filter(({ from, until }) => Date.parse(from) <= latestMs && nowMs < Date.parse(until)),
      window: windows.length === 0 ? 'always' : 'closed',
      opening: null,
      windows: said,
      clockWentBackFrom: instantOf(latestMs),
    };
  }

  function timeAt(nowMs: number): { time: ChangeTime; fromMs: number; untilMs: number } {
    const inForce = freezes.filter(({ from, until }) => Date.parse(from) <= nowMs && nowMs < Date.parse(until));
    const open = latest(calendars.flatMap((calendar) => openingOf(calendar, (of) => of.at(nowMs))));
    const opening = open ?? earliest(calendars.flatMap((calendar) => openingOf(calendar, (of) => of.after(nowMs))));
    const changes = [
      ...freezes.flatMap(({ from, until }) => [Date.parse(from), Date.parse(until)]),
      ...(opening === undefined ? [] : [opening.opensMs, opening.closesMs]),
    ].filter((ms) => ms > nowMs);
    return {
      fromMs: nowMs,
      untilMs: Math.min(...changes),
      time: {
        freezes: inForce,
        window: windows.length === 0 ? 'always' : open === undefined ? 'closed' : 'open',
        opening: opening?.opening ?? null,
        windows: said,
        clockWentBackFrom: null,
      },
    };
  }
}

interface Found extends OpenTime {
  readonly opening: Opening;
}

function openingOf(
  { window, openings }: { readonly window: ChangeWindow; readonly openings: WindowOpenings },
  find: (openings: WindowOpenings) => OpenTime | undefined,
): Found[] {
  const found = find(openings);
  if (found === undefined) return [];
  const { opensMs, closesMs } = found;
  const { name, timeZone } = window;
  return [
    { opensMs, closesMs, opening: { window: name, timeZone, opens: instantOf(opensMs), closes: instantOf(closesMs) } },
  ];
}

function latest(found: readonly Found[]): Found | undefined {
  return found.toSorted((a, b) => b.closesMs - a.closesMs)[0];
}

function earliest(found: readonly Found[]): Found | undefined {
  return found.toSorted((a, b) => a.opensMs - b.opensMs)[0];
}

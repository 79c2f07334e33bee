import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ChangeWindow, Freeze } from '../../src/domain/change-time.ts';
import { asId } from '../../src/domain/ids.ts';
import { createChangeCalendar } from '../../src/policy/change-calendar.ts';
import { steadyClock } from '../../src/policy/steady-clock.ts';
import { windowOpenings } from '../../src/policy/window-openings.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

function window(change: Partial<ChangeWindow> = {}): ChangeWindow {
  return {
    name: 'nightly',
    timeZone: 'Europe/Berlin',
    opens: '0 22 * * *',
    openMs: 2 * HOUR,
    holidays: new Set(),
    schedule: 'daily 22:00 for 2h',
    ...change,
  };
}

/** From so to so, by the clock on the wall of the window's zone. */
function openOn(of: ChangeWindow, around: string): string {
  const found = windowOpenings(of).after(Date.parse(around));
  if (found === undefined) return 'never';
  const wall = (ms: number) => new Date(ms).toLocaleString('sv', { timeZone: of.timeZone }).slice(0, 16);
  return `${wall(found.opensMs)} – ${wall(found.closesMs)} (${(found.closesMs - found.opensMs) / MINUTE} min)`;
}

describe('when a window is open', () => {
  it.each<[what: string, of: Partial<ChangeWindow>, around: string, open: string]>([
    [
      'crosses midnight',
      { opens: '0 23 * * *', openMs: 3 * HOUR },
      '2026-06-01T12:00Z',
      '2026-06-01 23:00 – 2026-06-02 02:00 (180 min)',
    ],
    [
      'opens in the hour that is left out: at its end',
      { opens: '30 2 * * *', openMs: HOUR },
      '2026-03-29T00:00Z',
      '2026-03-29 03:00 – 2026-03-29 04:00 (60 min)',
    ],
    [
      'lasts over the hour that is left out: as long as it says',
      { opens: '0 1 * * *', openMs: 2 * HOUR },
      '2026-03-28T12:00Z',
      '2026-03-29 01:00 – 2026-03-29 04:00 (120 min)',
    ],
    [
      'opens in the hour that comes twice: at the first',
      { opens: '30 2 * * *', openMs: 15 * MINUTE },
      '2026-10-24T12:00Z',
      '2026-10-25 02:30 – 2026-10-25 02:45 (15 min)',
    ],
    [
      'does not open again in the second of the two hours',
      { opens: '30 2 * * *', openMs: 15 * MINUTE },
      '2026-10-25T00:31Z',
      '2026-10-26 02:30 – 2026-10-26 02:45 (15 min)',
    ],
    [
      'does not open again, either, where a pattern names several hours',
      { opens: '30 1,2 * * *', openMs: 15 * MINUTE },
      '2026-10-25T00:31Z',
      '2026-10-26 01:30 – 2026-10-26 01:45 (15 min)',
    ],
    [
      'is half an hour off the others',
      { timeZone: 'Asia/Kolkata' },
      '2026-03-29T12:00Z',
      '2026-03-29 22:00 – 2026-03-30 00:00 (120 min)',
    ],
    [
      'is in a zone that shifts by half an hour',
      { timeZone: 'Australia/Lord_Howe', opens: '0 2 * * *', openMs: HOUR },
      '2026-10-03T12:00Z',
      '2026-10-04 02:30 – 2026-10-04 03:30 (60 min)',
    ],
    [
      'is on a day that comes every four years',
      { opens: '0 0 29 2 *', openMs: DAY },
      '2026-01-01T00:00Z',
      '2028-02-29 00:00 – 2028-03-01 00:00 (1440 min)',
    ],
    [
      'begins on a holiday: not at all',
      { opens: '0 23 * * *', openMs: 3 * HOUR, holidays: new Set(['2026-12-25']) },
      '2026-12-25T00:00Z',
      '2026-12-26 23:00 – 2026-12-27 02:00 (180 min)',
    ],
    [
      'would last into a holiday: until midnight',
      { opens: '0 23 * * *', openMs: 3 * HOUR, holidays: new Set(['2026-12-25']) },
      '2026-12-24T00:00Z',
      '2026-12-24 23:00 – 2026-12-25 00:00 (60 min)',
    ],
  ])('%s', (_, of, around, open) => {
    expect(openOn(window(of), around)).toBe(open);
  });

  /** Around the changes of clocks, where a day has 23, 23.5, 24.5 or 25 hours, and far from them. */
  const anyWindow = fc.record({
    timeZone: fc.constantFrom(
      'Europe/Berlin',
      'America/New_York',
      'Asia/Kolkata',
      'Australia/Lord_Howe',
      'Pacific/Chatham',
      'America/St_Johns',
      'Asia/Kathmandu',
      'UTC',
    ),
    hour: fc.integer({ min: 0, max: 23 }),
    minute: fc.constantFrom(0, 15, 30, 59),
    openMinutes: fc.constantFrom(1, 45, 60, 150, 600, 1440),
    day: fc.constantFrom(
      '2026-03-08',
      '2026-03-29',
      '2026-04-05',
      '2026-09-27',
      '2026-10-04',
      '2026-10-25',
      '2026-11-01',
      '2028-02-29',
      '2026-12-31',
    ),
    offsetMinutes: fc.integer({ min: -1440, max: 2 * 1440 }),
  });

  it('is what a clock on the wall says, minute by minute', () => {
    fc.assert(
      fc.property(anyWindow, ({ timeZone, hour, minute, openMinutes, day, offsetMinutes }) => {
        const of = window({ timeZone, opens: `${minute} ${hour} * * *`, openMs: openMinutes * MINUTE });
        const nowMs = Date.parse(`${day}T00:00Z`) + offsetMinutes * MINUTE;
        // Without any calendar: on each day, the first minute that the wall shows this time or a later one.
        const format = new Intl.DateTimeFormat('sv', { timeZone, dateStyle: 'short', timeStyle: 'short' });
        const wanted = `${String(hour).padStart(2, '0')}:${String(minute).padStart(2, '0')}`;
        const opened = new Map<string, number>();
        for (let at = nowMs - 2 * DAY; at <= nowMs; at += MINUTE) {
          const [date = '', time = ''] = format.format(at).split(' ');
          if (time >= wanted && !opened.has(date)) opened.set(date, at);
        }
        // The first day was not seen from its beginning.
        const [, ...whole] = [...opened.values()];
        const open = whole.some((opensMs) => opensMs <= nowMs && nowMs < opensMs + of.openMs);
        expect(windowOpenings(of).at(nowMs) !== undefined).toBe(open);
      }),
      { numRuns: 400 },
    );
  });

  it('opens next at a time at which it is open, and a moment before it was not', () => {
    fc.assert(
      fc.property(anyWindow, ({ timeZone, hour, minute, openMinutes, day, offsetMinutes }) => {
        const of = windowOpenings(
          window({ timeZone, opens: `${minute} ${hour} * * *`, openMs: Math.min(openMinutes, 600) * MINUTE }),
        );
        const nowMs = Date.parse(`${day}T00:00Z`) + offsetMinutes * MINUTE;
        const next = of.after(nowMs);
        expect(next?.opensMs).toBeGreaterThan(nowMs);
        expect(of.at(next?.opensMs ?? 0)).toEqual(next);
        expect(of.at((next?.opensMs ?? 0) - 1)).toBeUndefined();
        expect(of.at((next?.closesMs ?? 0) - 1)).toEqual(next);
        expect(of.at(next?.closesMs ?? 0)).toBeUndefined();
      }),
      { numRuns: 200 },
    );
  });
});

describe('the calendar of an environment', () => {
  const FREEZE: Freeze = {
    environment: 'production',
    from: asId('2026-06-02T20:30:00.000Z'),
    until: asId('2026-06-02T21:00:00.000Z'),
    reason: 'the launch',
    override: [],
  };

  function calendar(windows: readonly ChangeWindow[], freezes: readonly Freeze[] = []) {
    let nowMs = 0;
    const time = createChangeCalendar({ windows, freezes, clock: steadyClock({ now: () => nowMs }) });
    return (at: string) => {
      nowMs = Date.parse(at);
      return time();
    };
  }

  it('follows the clock through a day, and keeps one object as long as the same holds', () => {
    const at = calendar([window()], [FREEZE]);
    const before = at('2026-06-02T12:00Z');
    expect(before).toMatchObject({
      window: 'closed',
      freezes: [],
      opening: { window: 'nightly', opens: '2026-06-02T20:00:00.000Z', closes: '2026-06-02T22:00:00.000Z' },
    });
    expect(at('2026-06-02T19:59:59.999Z')).toBe(before);
    const open = at('2026-06-02T20:00Z');
    expect(open).toMatchObject({ window: 'open', freezes: [] });
    expect(at('2026-06-02T20:29:59Z')).toBe(open);
    expect(at('2026-06-02T20:30Z')).toMatchObject({ window: 'open', freezes: [FREEZE] });
    expect(at('2026-06-02T21:00Z')).toMatchObject({ window: 'open', freezes: [] });
    expect(at('2026-06-02T22:00Z')).toMatchObject({ window: 'closed' });
  });

  it('is open while any of several windows is', () => {
    const at = calendar([window(), window({ name: 'late', opens: '0 23 * * *', openMs: 3 * HOUR })]);
    expect(at('2026-06-02T20:30Z').opening?.window).toBe('nightly');
    expect(at('2026-06-02T21:30Z').window).toBe('open');
    expect(at('2026-06-02T23:30Z')).toMatchObject({ window: 'open' });
    expect(at('2026-06-03T00:30Z')).toMatchObject({ window: 'closed' });
  });

  it('opens nothing while the clock is behind what it has said, and holds to a freeze that it may be in', () => {
    const at = calendar([window()], [FREEZE]);
    expect(at('2026-06-02T20:10Z').window).toBe('open');
    expect(at('2026-06-02T20:09:59.500Z').window).toBe('open');
    const behind = at('2026-06-02T20:05Z');
    expect(behind).toMatchObject({ window: 'closed', clockWentBackFrom: '2026-06-02T20:10:00.000Z', freezes: [] });
    expect(at('2026-06-02T20:06Z')).toBe(behind);
    expect(at('2026-06-02T20:10Z')).toMatchObject({ window: 'open', clockWentBackFrom: null });
    expect(at('2026-06-02T20:40Z').freezes).toEqual([FREEZE]);
    expect(at('2026-06-02T20:20Z')).toMatchObject({ freezes: [FREEZE], window: 'closed' });
    expect(at('2026-06-02T21:10Z')).toMatchObject({ freezes: [], window: 'open' });
    expect(at('2026-06-02T20:50Z').freezes).toEqual([FREEZE]);
  });

  it('never opens earlier by any way that the clock goes', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 2 * 1440 }), { minLength: 1, maxLength: 30 }), (minutes) => {
        const at = calendar([window()], [FREEZE]);
        let latest = 0;
        for (const minute of minutes) {
          const nowMs = Date.parse('2026-06-02T00:00Z') + minute * MINUTE;
          const time = at(new Date(nowMs).toISOString());
          latest = Math.max(latest, nowMs);
          const honest = calendar([window()], [FREEZE])(new Date(nowMs).toISOString());
          if (nowMs < latest) expect(time.window).toBe('closed');
          else expect(time).toEqual(honest);
          if (honest.freezes.length > 0) expect(time.freezes).toEqual([FREEZE]);
        }
      }),
      { numRuns: 200 },
    );
  });
});

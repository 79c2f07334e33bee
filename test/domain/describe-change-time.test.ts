import { describe, expect, it } from 'vitest';
import { ANY_TIME, type ChangeTime, type Opening } from '../../src/domain/change-time.ts';
import { describeChangeTime, describeObligation, describeSpan } from '../../src/domain/describe-change-time.ts';
import { asId, type Instant } from '../../src/domain/ids.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const at = (text: string) => asId<Instant>(new Date(text).toISOString());

function opening(opens: string, closes: string, timeZone = 'Europe/Berlin'): Opening {
  return { window: 'nightly', timeZone, opens: at(opens), closes: at(closes) };
}

/** As an agent and a person are told what a plan waits for. */
function nextOf(next: Opening | null, now: string): string {
  return describeObligation(
    { obligation: 'in window', windows: ['nightly: mon 22:00 for 2h, Europe/Berlin'], next },
    Date.parse(now),
  );
}

describe('when it may be changed, in words', () => {
  it.each([
    [
      'in an evening that ends at midnight',
      opening('2026-11-24T21:00Z', '2026-11-24T23:00Z'),
      'Tue 24 Nov 22:00–24:00 Europe/Berlin (nightly; opens in 3 h)',
    ],
    [
      'in a night',
      opening('2026-11-24T22:30Z', '2026-11-25T01:00Z'),
      'Tue 24 Nov 23:30–Wed 25 Nov 02:00 Europe/Berlin (nightly; opens in 4 h 30 min)',
    ],
    [
      'in a few days, for more than a day',
      opening('2026-11-27T18:30Z', '2026-11-29T18:30Z', 'Asia/Kolkata'),
      'Sat 28 Nov 00:00–Mon 30 Nov 00:00 Asia/Kolkata (nightly; opens in 3 d)',
    ],
    ['never again', null, 'none opens any more (nightly: mon 22:00 for 2h, Europe/Berlin)'],
  ])('%s', (_, next, said) => {
    expect(nextOf(next, '2026-11-24T18:00Z')).toBe(`a change window; it may be applied in: ${said}`);
  });

  it('counts down to the opening, then to the closing', () => {
    const next = opening('2026-11-24T21:00Z', '2026-11-24T23:00Z');
    expect(nextOf(next, '2026-11-24T20:59:30Z')).toContain('opens in less than a minute');
    expect(nextOf(next, '2026-11-24T21:00Z')).toContain('closes in 2 h');
    expect(nextOf(next, '2026-11-24T23:00Z')).toContain('is over');
  });

  it('names a freeze, who may override it, and the clock that went back', () => {
    const time: ChangeTime = {
      ...ANY_TIME,
      window: 'closed',
      windows: ['nightly: daily 22:00 for 2h, UTC'],
      clockWentBackFrom: at('2026-11-24T21:00Z'),
      freezes: [
        {
          environment: '*',
          from: at('2026-11-24T00:00Z'),
          until: at('2026-11-26T00:00Z'),
          reason: 'the launch',
          override: [asId('ada'), asId('grace')],
        },
      ],
    };
    expect(describeChangeTime(time, Date.parse('2026-11-24T20:00Z'))).toEqual([
      'frozen until 2026-11-26T00:00:00.000Z: the launch; ada or grace may override it',
      'no change window is open: the gateway’s clock went back, and must first be past 2026-11-24T21:00:00.000Z',
    ]);
    expect(describeChangeTime(ANY_TIME, 0)).toEqual([]);
  });

  it.each([
    [59_999, 'less than a minute'],
    [MINUTE, '1 min'],
    [3 * HOUR + 5 * MINUTE, '3 h 5 min'],
    [26 * HOUR + 5 * MINUTE, '1 d 2 h'],
    [48 * HOUR + 5 * MINUTE, '2 d'],
  ])('says %i ms as %s', (ms, said) => {
    expect(describeSpan(ms)).toBe(said);
  });
});

import { describe, expect, it } from 'vitest';
import { dueAt } from '../../src/backups/due.ts';

const at = (text: string) => Date.parse(text);
const HOUR_MS = 3_600_000;
const NIGHTLY = { cron: '30 2 * * *', timeZone: 'Europe/Berlin' };
const well = { failures: 0, triedMs: 0 };

describe('backups and drills of a schedule', () => {
  it('are due at once where there is none yet, and so long after the last', () => {
    const [sinceMs, lastMs] = [at('2026-11-21T10:00Z'), at('2026-11-21T09:00Z')];
    expect(dueAt({ everyMs: 6 * HOUR_MS }, { lastMs: null, sinceMs, tries: well })).toBe(sinceMs);
    expect(dueAt({ everyMs: 6 * HOUR_MS }, { lastMs, sinceMs, tries: well })).toBe(lastMs + 6 * HOUR_MS);
  });

  it('are due when their clock says it, in winter and in summer', () => {
    const next = (lastMs: number) => dueAt(NIGHTLY, { lastMs, sinceMs: lastMs, tries: well });
    expect(next(at('2026-11-21T10:00Z'))).toBe(at('2026-11-22T01:30Z'));
    expect(next(at('2026-07-21T10:00Z'))).toBe(at('2026-07-22T00:30Z'));
  });

  it('are made up for once, when nobody was there for days', () => {
    const lastMs = at('2026-11-10T01:31Z');
    expect(dueAt(NIGHTLY, { lastMs, sinceMs: at('2026-11-21T10:00Z'), tries: well })).toBe(at('2026-11-11T01:30Z'));
  });

  it('are tried again later and later when they fail', () => {
    const triedMs = at('2026-11-21T01:30Z');
    const again = (failures: number) =>
      (dueAt(NIGHTLY, { lastMs: triedMs - 24 * HOUR_MS, sinceMs: 0, tries: { failures, triedMs } }) - triedMs) / 60_000;
    expect([1, 2, 3, 4, 9].map(again)).toEqual([5, 15, 60, 360, 360]);
  });
});

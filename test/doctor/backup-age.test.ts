import { describe, expect, it } from 'vitest';
import { checkBackupAge } from '../../src/doctor/backup-age.ts';
import type { BackupFigures } from '../../src/domain/backup.ts';
import { asId, type TargetId } from '../../src/domain/ids.ts';

const HOUR_MS = 3_600_000;
const NOW_MS = 1000 * HOUR_MS;
const figures = (more: Partial<BackupFigures>): BackupFigures => ({
  target: asId<TargetId>('shop'),
  madeMs: NOW_MS - HOUR_MS,
  drilledMs: NOW_MS - 24 * HOUR_MS,
  works: [],
  ...more,
});
const verdicts = (more: Partial<BackupFigures>) =>
  checkBackupAge([figures(more)], NOW_MS).map(({ id, verdict }) => `${id} ${verdict}`);
const sixHourly = {
  name: 'backup',
  recurring: { everyMs: 6 * HOUR_MS },
  lastMs: null,
  failures: 0,
  why: null,
  triedMs: 0,
} as const;

describe('the doctor, of the age of backups', () => {
  it('is content with a fresh backup and a fresh drill', () => {
    expect(verdicts({})).toEqual(['backups.age ok', 'backups.age ok']);
  });

  it.each([
    ['none at all', { madeMs: null }, 0],
    ['one that missed its turn', { madeMs: NOW_MS - 13 * HOUR_MS, works: [sixHourly] }, 0],
    ['a drill of long ago', { drilledMs: NOW_MS - 8 * 24 * HOUR_MS }, 1],
  ] as const)('warns of %s', (_what, more, at) => {
    expect(verdicts(more)[at]).toBe('backups.age warn');
  });

  it('says what fails by itself, and why', () => {
    const [first] = checkBackupAge([figures({ works: [{ ...sixHourly, failures: 3, why: 'no route' }] })], NOW_MS);
    expect(first).toMatchObject({ verdict: 'fail', found: expect.stringContaining('3 times in a row: no route') });
  });
});

import type { BackupFigures } from '../domain/backup.ts';
import type { Recurring } from '../domain/recurring.ts';
import { type Finding, findingsOf } from './finding.ts';

/** A drill is fresh for so long where nobody says otherwise: as long as the policy that comes along asks for. */
const FRESH_MS = 7 * 86_400_000;
/** A backup that cron makes: once a day is what most mean. */
const DAILY_MS = 86_400_000;

/** Whether what would bring targets back is as fresh as it is meant to be, and whether what makes it by itself works. */
export function checkBackupAge(figures: readonly BackupFigures[], nowMs: number): readonly Finding[] {
  return figures.flatMap(({ target, madeMs, drilledMs, works }) => {
    const { ok, bad } = findingsOf(`backups of ${target}`);
    const failing = works.filter(({ failures }) => failures > 0);
    const findings = failing.map(({ name, failures, why }) =>
      bad('fail', 'backups.schedule', {
        found: `the ${name} that is due failed ${failures === 1 ? 'the last time' : `${failures} times in a row`}: ${why}`,
        why: 'What is not backed up, or not drilled, is not there when it is needed.',
        fix: `mend that, and try it: countersign ${name === 'backup' ? 'backup create' : 'drill run'} --target ${target}`,
      }),
    );
    const every = (what: 'backup' | 'drill') => everyMs(works.find(({ name }) => name === what)?.recurring);
    const ages = [
      {
        what: 'backup',
        ageMs: ageOf(madeMs, nowMs),
        mostMs: 2 * (every('backup') ?? DAILY_MS),
        does: 'backup create',
        key: 'create',
      },
      {
        what: 'passed drill',
        ageMs: ageOf(drilledMs, nowMs),
        mostMs: Math.max(FRESH_MS, 2 * (every('drill') ?? 0)),
        does: 'drill run',
        key: 'drill',
      },
    ];
    for (const { what, ageMs, mostMs, does, key } of ages)
      findings.push(
        ageMs !== null && ageMs <= mostMs
          ? ok('backups.age', `the newest ${what} is ${said(ageMs)} old`)
          : bad('warn', 'backups.age', {
              found: ageMs === null ? `there is no ${what}` : `the newest ${what} is ${said(ageMs)} old`,
              why: 'What came later could not be brought back, or nobody knows whether anything could.',
              fix: `countersign ${does} --target ${target}, and let it come round by itself: targets.${target}.backup.${key}: { every: … }`,
            }),
      );
    return findings;
  });
}

/** @returns `undefined` of what cron says: there the day is taken. */
function everyMs(recurring: Recurring | undefined): number | undefined {
  return recurring !== undefined && 'everyMs' in recurring ? recurring.everyMs : undefined;
}

function ageOf(sinceMs: number | null, nowMs: number): number | null {
  return sinceMs === null ? null : Math.max(0, nowMs - sinceMs);
}

function said(ms: number): string {
  return ms < 2 * 3_600_000 ? `${Math.round(ms / 60_000)} minutes` : `${Math.round(ms / 3_600_000)} hours`;
}

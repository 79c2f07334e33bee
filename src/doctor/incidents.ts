import { type Finding, findingsOf, some } from './finding.ts';

/** Broken glass that nobody has looked at. */
export interface Unreviewed {
  readonly id: string;
  readonly person: string;
  readonly openedMs: number;
}

const DAY_MS = 86_400_000;

/** Whether somebody has looked at what was done alone. @param unreviewed `null` where that could not be read. */
export function checkIncidents(unreviewed: readonly Unreviewed[] | null, nowMs: number): Finding[] {
  const { ok, bad } = findingsOf('gateway');
  if (unreviewed === null) return [];
  const [first] = unreviewed;
  if (first === undefined) return [ok('incidents.reviewed', 'no broken glass waits for a review')];
  const oldestMs = Math.min(...unreviewed.map(({ openedMs }) => openedMs));
  const people = [...new Set(unreviewed.map(({ person }) => person))];
  return [
    bad(nowMs - oldestMs > DAY_MS ? 'fail' : 'warn', 'incidents.reviewed', {
      found: `${some(unreviewed.map(({ id }) => id))}: broken glass of ${some(people)} that nobody has reviewed`,
      why: 'Somebody changed a target alone. Until another person has looked at it, nobody but them knows whether it was right.',
      fix: `countersign incident show ${first.id}, then countersign incident review ${first.id} --as PERSON --reason TEXT`,
    }),
  ];
}

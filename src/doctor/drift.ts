import type { DriftState } from '../domain/drift.ts';
import type { TargetId } from '../domain/ids.ts';
import { type Finding, findingsOf, some } from './finding.ts';

/** Whether schemas are as they are meant to be, as far as anybody has looked. */
export function checkDrift(
  targets: readonly {
    readonly target: TargetId;
    readonly scheduled: boolean;
    readonly state: DriftState | undefined;
  }[],
): readonly Finding[] {
  return targets.flatMap(({ target, scheduled, state }) => {
    const { ok, bad } = findingsOf(`schema of ${target}`);
    // Whoever has never asked is not told of it.
    if (state === undefined) return [];
    if (state.since !== null)
      return [
        bad('warn', 'drift.found', {
          found: `${state.objects} object${state.objects === 1 ? ' is' : 's are'} not as the baseline has them, since ${state.since}: ${some(
            state.listed.map(({ object, change }) => `${object} ${change}`),
            3,
          )}`,
          why: 'Somebody has another way into the schema, and what was reviewed is not what runs.',
          fix: `countersign drift show ${target}; then countersign drift accept ${target} --as PERSON --reason '…', or have it taken back`,
        }),
      ];
    const seen = `as its baseline has it, when it was looked at ${state.checkedAt}`;
    if (scheduled) return [ok('drift.found', seen)];
    return [
      bad('warn', 'drift.schedule', {
        found: `${seen}; nobody looks by themselves`,
        why: 'What changes it past Countersign is found by nobody.',
        fix: `targets.${target}.drift: { every: 15m }`,
      }),
    ];
  });
}

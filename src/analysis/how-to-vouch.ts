import type { Analysis } from '../domain/effect.ts';

const MAX_NAMED = 3;

/** What a person can do so that code which only reads need not be held each time, one sentence for each function. */
export function howToVouch(
  { vouchable, unknown }: Pick<Analysis, 'vouchable' | 'unknown'>,
  target: string,
): readonly string[] {
  if (unknown.length === 0) return [];
  return vouchable
    .slice(0, MAX_NAMED)
    .map(
      (signature) =>
        `A person who has read that it only reads can vouch for it: countersign policy trust function '${signature.replaceAll("'", "'\\''")}' --target ${target} --as PERSON --reason WHY`,
    );
}

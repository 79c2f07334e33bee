import { digestOf } from '../domain/digest.ts';
import type { AspectChange, DefinitionMove, Definitions, Deviation } from '../domain/drift.ts';
import type { Digest } from '../domain/ids.ts';

/** Object by object, in which a schema deviates from what it should be; by kind and name. */
export function deviations(expected: Definitions, found: Definitions): readonly Deviation[] {
  const [should, is] = expected.major === found.major ? [expected, found] : [comparable(expected), comparable(found)];
  const names = [...new Set([...should.objects.keys(), ...is.objects.keys()])].sort();
  return names.flatMap((object): Deviation[] => {
    const [before, after] = [should.objects.get(object), is.objects.get(object)];
    if (before === after) return [];
    const aspects = aspectsBetween(before, after);
    // Written in another order, or otherwise the same.
    if (before !== undefined && after !== undefined && aspects.length === 0) return [];
    return [{ object, change: before === undefined ? 'added' : after === undefined ? 'removed' : 'changed', aspects }];
  });
}

/** Over what deviates and how. */
export function digestOfDeviations(found: readonly Deviation[]): Digest {
  return digestOf(
    found.map(({ object, change, aspects }) => ({ object, change, aspects: aspects.map((one) => ({ ...one })) })),
  );
}

export function digestOfDefinitions({ objects, major }: Definitions): Digest {
  return digestOf({ major, objects: Object.fromEntries(objects) });
}

/**
 * The baseline after plans that were applied. An object that was not as the baseline has it when a plan altered it had
 * drifted before: a plan that somebody approved for another reason doesn't make that right.
 */
export function followed(baseline: Definitions, moves: readonly (readonly DefinitionMove[])[]): Definitions {
  const objects = new Map(baseline.objects);
  for (const { object, before, after } of moves.flat()) {
    if (after === null) objects.delete(object);
    else if ((objects.get(object) ?? null) === before) objects.set(object, after);
  }
  return { objects, major: baseline.major };
}

/**
 * The same for plans of which nobody knows yet whether they took effect: what is as they would have it is no drift, and
 * what is not is none for their sake.
 */
export function followedAsFound(
  baseline: Definitions,
  moves: readonly (readonly DefinitionMove[])[],
  found: Definitions,
): Definitions {
  const there = moves.flat().filter(({ object, after }) => (found.objects.get(object) ?? null) === after);
  return followed(baseline, [there]);
}

/** Servers of different majors write some things differently: named NOT NULL constraints came with 18, MAINTAIN with 17. */
function comparable({ objects, major }: Definitions): Definitions {
  const kept = [...objects].filter(([object, text]) => !(object.startsWith('constraint ') && /"NOT NULL /.test(text)));
  return {
    major,
    objects: new Map(
      kept.map(([object, text]) => [object, text.replaceAll(/MAINTAIN(?: \(may grant it on\))?(?:, )?/g, '')]),
    ),
  };
}

function aspectsBetween(before: string | undefined, after: string | undefined): readonly AspectChange[] {
  const [was, is] = [parsed(before), parsed(after)];
  return [...new Set([...Object.keys(was), ...Object.keys(is)])].sort().flatMap((aspect) => {
    const [a, b] = [spoken(was[aspect]), spoken(is[aspect])];
    return a === b ? [] : [{ aspect, before: a, after: b }];
  });
}

function parsed(definition: string | undefined): Readonly<Record<string, unknown>> {
  return definition === undefined ? {} : (JSON.parse(definition) as Record<string, unknown>);
}

function spoken(value: unknown): string | null {
  if (value === undefined || value === null) return null;
  if (value === true) return 'yes';
  if (Array.isArray(value)) return value.map((one) => String(one)).join('\n');
  return typeof value === 'string' ? value : JSON.stringify(value);
}

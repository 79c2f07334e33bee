import { BREAKERS, type Breaker } from '../domain/breaker.ts';
import type { ConfigDocument } from './schema.ts';

/** A rule as it is configured; `max` is `null` where it follows from the role of the agent. */
export interface ConfiguredBreaker {
  readonly max: number | null;
  readonly withinMs: number;
}

/** Identity is no matter of numbers: once is enough. */
const ONCE: ConfiguredBreaker = { max: 1, withinMs: 3_600_000 };

/** The breakers that are not off. */
export function breakersOf(entry: ConfigDocument['breakers']): ReadonlyMap<Breaker, ConfiguredBreaker> {
  if (entry === 'off') return new Map();
  return new Map(
    BREAKERS.flatMap((breaker) => {
      const rule = entry[breaker];
      if (rule === 'off') return [];
      if (rule === 'on') return [[breaker, ONCE] as const];
      return [[breaker, { max: rule.max ?? null, withinMs: rule.within }] as const];
    }),
  );
}

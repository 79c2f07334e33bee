import type pg from 'pg';
import type { Channel } from '../config/scenario-schema.ts';
import type { Way } from './carriage.ts';
import type { Scenario } from './scenario.ts';

/**
 * A copy on which attempts are made one after the other: the bare database, or one with a gateway before it. Lanes are
 * alike but for that, and run side by side.
 */
export interface Lane {
  readonly name: 'bare' | Channel;
  /** A new actor, who has done nothing yet. */
  enter(scenario: Scenario): Promise<Way>;
  /** A superuser’s connection around everything, for the oracle. */
  watch(): Promise<pg.Client>;
  /** Sets up what runs apart. @returns scenarios that could not be, with why. */
  setUpApart(scenarios: readonly Scenario[]): Promise<ReadonlyMap<string, string>>;
  /** Makes it as it was: what was harmed must not harm what is tried next. */
  restore(cluster: boolean): Promise<void>;
  close(): Promise<void>;
}

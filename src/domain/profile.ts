import type { TargetId } from './ids.ts';

/**
 * What the database itself must enforce for a task on one target: two logins, each with exactly these grants and no more.
 * Tasks of the same shape share a profile.
 */
export interface Profile {
  readonly target: TargetId;
  /** Relations to be granted SELECT, as `schema.name` of the catalogue, patterns already expanded, sorted. */
  readonly read: readonly string[];
  /** Tables to be granted SELECT, INSERT, UPDATE, DELETE on the write login. Sorted. */
  readonly write: readonly string[];
  readonly statementTimeoutMs: number;
}

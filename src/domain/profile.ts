import type { TargetId } from './ids.ts';
import type { MaskedRelation } from './masking.ts';

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
  /** Relations of which not all columns are given for reading or for writing. Sorted; none of them is in `read`, or in `write`. */
  readonly columns: readonly ColumnGrants[];
  /** Masking views with the columns of each to be granted SELECT. The columns that they mask are granted nowhere else. */
  readonly masked?: readonly { readonly relation: MaskedRelation; readonly read: readonly string[] }[];
  readonly statementTimeoutMs: number;
}

export interface ColumnGrants {
  readonly relation: string;
  /** To be granted SELECT. */
  readonly read: readonly string[];
  /** To be granted INSERT and UPDATE on the write login: never DELETE, which takes whole rows. */
  readonly write: readonly string[];
}

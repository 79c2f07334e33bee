import { type ActorId, asId, type Digest, type Instant, type TargetId, type TaskId } from './ids.ts';

/** A shadow copy of a target, in which one task works without asking anybody; its difference becomes a plan. */
export interface Branch {
  /** As which sessions ask for it, in the place of a target; the name of its database too. */
  readonly id: TargetId;
  readonly of: TargetId;
  readonly task: TaskId;
  readonly askedBy: ActorId;
  readonly state: BranchState;
  readonly madeAt: Instant;
  readonly expiresAt: Instant;
  /** The database that stays as the target was. Branches that were made soon after one another share one. */
  readonly base: string;
  /** Set once it can be used. */
  readonly copy: BranchCopy | null;
}

/** `making` until it can be used; `dropped` is what is kept of it for whoever looks later. */
export type BranchState = 'making' | 'open' | 'dropped';

/** Its two databases: the one that is worked in, and the one that stays as the target was. */
export interface BranchCopy {
  /** The moment of the target that both were made of. */
  readonly at: Instant;
  readonly identity: Digest;
  readonly baseIdentity: Digest;
}

export type OpenBranch = Branch & { readonly copy: BranchCopy };

/** What a branch has otherwise than the target had when it was made. */
export interface BranchDifference {
  readonly tables: readonly TableDifference[];
  /** `kind name` of objects that were made, altered or dropped in it. */
  readonly definitions: readonly string[];
  /** Large objects are no rows of a table: that they differ is all that is known. */
  readonly largeObjects: boolean;
}

export interface TableDifference {
  /** `schema.name`, a partition's by the root of its tree. */
  readonly table: string;
  /** All columns of its rows, in their order. */
  readonly columns: readonly string[];
  /** Rows that the copy has no more, each as the text that PostgreSQL writes of it. */
  readonly lost: readonly string[];
  /** Rows that it has in their place, or besides. */
  readonly gained: readonly string[];
  readonly inserted: number;
  readonly updated: number;
  readonly deleted: number;
}

const PREFIX = 'branch_';

export function branchId(random: string): TargetId {
  return asId<TargetId>(`${PREFIX}${random}`);
}

/** Whether a name can only be that of a branch: no target may be called so. */
export function isBranchId(name: string): boolean {
  return name.startsWith(PREFIX);
}

/** What a base is called that is made with a branch. */
export function newBase(id: TargetId): string {
  return `${id}_base`;
}

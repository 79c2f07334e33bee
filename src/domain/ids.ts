/** Ids are strings that can't be mistaken for one another. Each is made at one edge and only carried from there. */
declare const brand: unique symbol;
type Branded<Name extends string> = string & { readonly [brand]: Name };

export type ActorId = Branded<'ActorId'>;
export type EnvironmentId = Branded<'EnvironmentId'>;
export type TargetId = Branded<'TargetId'>;
export type RoleId = Branded<'RoleId'>;
export type TaskId = Branded<'TaskId'>;
export type IntentId = Branded<'IntentId'>;
export type HaltId = Branded<'HaltId'>;
/** `sha256:` and 64 hexadecimal digits. A plan's id is the digest of its content. */
export type Digest = Branded<'Digest'>;
export type PlanId = Digest;

/** An instant as RFC 3339 in UTC with milliseconds, as `Date.prototype.toISOString` writes it. */
export type Instant = Branded<'Instant'>;

/** Marks a string that has been checked at an edge as the id it is. The only cast of an id in the program. */
export function asId<Id extends Branded<string>>(value: string): Id {
  return value as Id;
}

export function instantOf(epochMs: number): Instant {
  return asId<Instant>(new Date(epochMs).toISOString());
}

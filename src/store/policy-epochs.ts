import type { Digest, Instant } from '../domain/ids.ts';
import { statements } from './schema.ts';
import type { Store } from './store.ts';
import { type Write, write } from './write.ts';

/** What gateways serve from a moment on: the digest of their policies and of what in their configuration decides. */
export interface PolicyEpoch {
  /** Counts up; the highest is in force. */
  readonly epoch: number;
  readonly digest: Digest;
  readonly by: string;
  readonly at: Instant;
}

/** Breaks a constraint when another process has begun this epoch first. */
export function beginEpoch({ epoch, digest, by, at }: PolicyEpoch): Write {
  return write(statements.insertInto('policy_epochs').values({ epoch, digest, by, at }));
}

export async function newestEpoch(store: Store): Promise<PolicyEpoch | undefined> {
  const row = await store.first(statements.selectFrom('policy_epochs').selectAll().orderBy('epoch', 'desc').limit(1));
  return row === undefined ? undefined : { ...row, digest: row.digest as Digest, at: row.at as Instant };
}

/** Whether these were in force at some time. */
export async function wasInForce(store: Store, digest: Digest): Promise<boolean> {
  const found = statements.selectFrom('policy_epochs').select('epoch').where('digest', '=', digest).limit(1);
  return (await store.first(found)) !== undefined;
}

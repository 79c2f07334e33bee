import type { DelegationEnvelope, DelegationStatement } from '../domain/delegation.ts';
import { canonicalJson, type Json } from '../domain/digest.ts';
import type { Instant } from '../domain/ids.ts';
import { type DelegationRow, statements } from './schema.ts';
import type { Store } from './store.ts';
import { type Write, write } from './write.ts';

/** A delegation as it is kept. Whoever uses it verifies it again. */
export interface KeptDelegation {
  readonly id: string;
  readonly envelope: DelegationEnvelope;
  readonly endedAt: string | null;
}

/** Fails where it is there already. */
export function insertDelegation(id: string, statement: DelegationStatement, envelope: DelegationEnvelope): Write {
  return write(
    statements
      .insertInto('delegations')
      .values({
        id,
        environment: statement.environment,
        envelope: canonicalJson(envelope as unknown as Json),
        until: statement.until,
        ended_at: null,
      })
      .onConflict((conflict) => conflict.doNothing()),
    1,
  );
}

/** The first end stands. */
export function endDelegation(id: string, at: Instant): Write {
  return write(
    statements.updateTable('delegations').set({ ended_at: at }).where('id', '=', id).where('ended_at', 'is', null),
    1,
  );
}

/** @param filter of one environment, or all of them; the newest first. */
export async function delegations(
  store: Store,
  filter: { readonly environment?: string } = {},
): Promise<readonly KeptDelegation[]> {
  let query = statements.selectFrom('delegations').selectAll().orderBy('until', 'desc').orderBy('id');
  if (filter.environment !== undefined) query = query.where('environment', '=', filter.environment);
  return (await store.all(query)).map(keptOf);
}

export async function delegationById(store: Store, id: string): Promise<KeptDelegation | undefined> {
  const row = await store.first(statements.selectFrom('delegations').selectAll().where('id', '=', id));
  return row === undefined ? undefined : keptOf(row);
}

function keptOf({ id, envelope, ended_at }: DelegationRow): KeptDelegation {
  return { id, envelope: JSON.parse(envelope) as DelegationEnvelope, endedAt: ended_at };
}

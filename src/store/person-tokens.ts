import { canonicalJson, type Json } from '../domain/digest.ts';
import type { Instant } from '../domain/ids.ts';
import { type PersonTokenRow, statements } from './schema.ts';
import type { Store } from './store.ts';
import { type Write, write } from './write.ts';

export function insertPersonToken(row: Omit<PersonTokenRow, 'envelope'> & { readonly envelope: object }): Write {
  const envelope = canonicalJson(row.envelope as unknown as Json);
  return write(statements.insertInto('person_tokens').values({ ...row, envelope }), 1);
}

export async function personTokenByHash(store: Store, tokenHash: string): Promise<PersonTokenRow | undefined> {
  return store.first(statements.selectFrom('person_tokens').selectAll().where('token_hash', '=', tokenHash));
}

export async function allPersonTokens(store: Store): Promise<readonly PersonTokenRow[]> {
  return store.all(statements.selectFrom('person_tokens').selectAll().orderBy('expires_at').limit(1000));
}

/** Fails when it is gone already. */
export function removePersonToken(id: string): Write {
  return write(statements.deleteFrom('person_tokens').where('id', '=', id), 1);
}

export function forgetPersonTokens(before: Instant): Write {
  return write(statements.deleteFrom('person_tokens').where('expires_at', '<', before));
}

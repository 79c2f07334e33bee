import { canonicalJson, type Json } from '../domain/digest.ts';
import type { Instant } from '../domain/ids.ts';
import { statements } from './schema.ts';
import type { Store } from './store.ts';
import { type Write, write } from './write.ts';

/** @param envelope signed by the person whom the code signs in; whoever redeems it verifies it. */
export function insertSignInCode(code: {
  readonly tokenHash: string;
  readonly envelope: object;
  readonly expires: Instant;
}): Write {
  return write(
    statements.insertInto('sign_in_codes').values({
      token_hash: code.tokenHash,
      envelope: canonicalJson(code.envelope as unknown as Json),
      expires_at: code.expires,
    }),
    1,
  );
}

export async function signInCode(store: Store, tokenHash: string): Promise<unknown> {
  const row = await store.first(
    statements.selectFrom('sign_in_codes').select('envelope').where('token_hash', '=', tokenHash),
  );
  return row === undefined ? undefined : JSON.parse(row.envelope);
}

/** Fails when somebody has redeemed it already: it signs in once. */
export function redeemSignInCode(tokenHash: string): Write {
  return write(statements.deleteFrom('sign_in_codes').where('token_hash', '=', tokenHash), 1);
}

export function forgetSignInCodes(before: Instant): Write {
  return write(statements.deleteFrom('sign_in_codes').where('expires_at', '<', before));
}

import type { Person } from '../domain/actor.ts';
import type { ActorId } from '../domain/ids.ts';
import type { Passkey } from '../domain/passkey.ts';
import type { Refusal } from '../domain/refusal.ts';
import { verifyWebAuthn } from '../ledger/webauthn-signature.ts';
import { allPasskeys, countPasskey } from '../store/passkeys.ts';
import type { Store } from '../store/store.ts';
import type { Write } from '../store/write.ts';
import type { Challenges } from './challenges.ts';
import { confirmHint, doesNotCount, handleText, passkeyThatCounts } from './counting-passkeys.ts';
import type { Assertion } from './signed-by-passkey.ts';

/** A passkey that has answered a challenge of ours, and what makes that it answers this one only once. */
export interface Asserted {
  readonly passkey: Passkey;
  readonly writes: readonly Write[];
}

/**
 * Verifies an authenticator's answer to a challenge that was issued for one purpose: origin, name, user verification, key,
 * and that somebody who may has vouched for it.
 */
export async function asserted(
  { id, response }: Assertion,
  expected: { readonly origin: string; readonly purpose: string },
  deps: {
    readonly store: Store;
    readonly challenges: Challenges;
    readonly people: () => ReadonlyMap<ActorId, Person>;
  },
): Promise<Asserted | { readonly refused: Refusal }> {
  const row = (await allPasskeys(deps.store)).find(({ credential }) => credential === id);
  const passkey = row === undefined ? undefined : passkeyThatCounts(deps.people(), row.id, row.person);
  if (row === undefined)
    return doesNotCount('this passkey is not registered here', 'Sign in with your key, and register it.');
  if (passkey === undefined)
    return doesNotCount('nobody has vouched for this passkey', confirmHint(row.id, row.person));
  const clientData = Buffer.from(response.clientDataJSON, 'base64url');
  const challenge = challengeIn(clientData);
  const spend = deps.challenges.accept(challenge, expected.purpose);
  if (spend === undefined)
    return doesNotCount('it answers no challenge of this gateway, or answers too late', 'Try again.');
  if (expected.origin !== passkey.origin)
    return doesNotCount(`this passkey is for ${passkey.origin}`, 'Open the console there.');
  const verdict = verifyWebAuthn({
    ...passkey,
    challenge: Buffer.from(challenge, 'base64url'),
    authenticatorData: Buffer.from(response.authenticatorData, 'base64url'),
    clientData,
    signature: Buffer.from(response.signature, 'base64url'),
  });
  if (!verdict.valid) return doesNotCount(verdict.why, 'Try again; nothing was recorded.');
  if (response.userHandle !== undefined && response.userHandle !== handleText(passkey.person))
    return doesNotCount('the authenticator has it for somebody else', 'Register it again.');
  return { passkey, writes: [...spend, countPasskey(passkey.id, verdict.counter)] };
}

/** What a guard that found the answer spent, or the counter not risen, means. */
export function usedBefore({ id }: Passkey): { readonly refused: Refusal } {
  return doesNotCount(
    'it has been used before, or there is a copy of this authenticator',
    `Try again. If it says so again, take the passkey back: countersign passkey revoke ${id}`,
  );
}

function challengeIn(clientData: Buffer): string {
  try {
    return String((JSON.parse(clientData.toString('utf8')) as { challenge?: unknown } | null)?.challenge);
  } catch (error) {
    if (error instanceof SyntaxError) return '';
    throw error;
  }
}

import type { PersonKey } from '../approval/person-key.ts';
import { signSignIn, verifySignIn } from '../approval/sign-in.ts';
import type { Person } from '../domain/actor.ts';
import { type ActorId, asId, type Digest, type Instant, instantOf } from '../domain/ids.ts';
import type { Refusal } from '../domain/refusal.ts';
import { GuardFailed } from '../ledger/ledger.ts';
import type { Proof } from '../pipeline/proof.ts';
import { forgetSignInCodes, insertSignInCode, redeemSignInCode, signInCode } from '../store/sign-in-codes.ts';
import type { Store } from '../store/store.ts';
import type { PersonSession, PersonSessions } from './person-sessions.ts';
import { newToken, tokenHash } from './secret-token.ts';

export type SignedIn = { readonly token: string; readonly session: PersonSession } | { readonly refused: Refusal };

/** Signing in where there is no provider: a command at the machine signs with the person's own key, a browser redeems it. */
export interface SignInCodes {
  /**
   * Makes a code for a person, good once: signed by them, or by the machine for who has nothing to sign with. With that they
   * can register their first passkey, and do nothing else.
   */
  offer(person: Person, key: PersonKey | 'the machine'): Promise<{ readonly token: string; readonly expires: Instant }>;
  redeem(token: string, replaces: string | undefined): Promise<SignedIn>;
}

/** For the first passkey of a person, and nothing else. */
export const FIRST = { via: 'code', credential: 'the machine' } as const;
const LIFETIME_MS = 2 * 60_000;

export function createSignInCodes(deps: {
  readonly store: Store;
  readonly proof: Proof;
  readonly sessions: PersonSessions;
  readonly people: () => ReadonlyMap<ActorId, Person>;
  readonly ledgerKey: PersonKey;
  readonly now: () => number;
}): SignInCodes {
  const { store, proof, sessions } = deps;
  return {
    async offer(person, key) {
      const token = newToken();
      const nowMs = deps.now();
      const expires = instantOf(nowMs + LIFETIME_MS);
      const hash = tokenHash(token);
      const envelope = signSignIn(
        {
          type: 'https://countersign.dev/sign-in/v1',
          person: person.id,
          token: asId<Digest>(hash),
          at: instantOf(nowMs),
          expires,
        },
        key === 'the machine' ? deps.ledgerKey : key,
      );
      await proof.record({
        kind: 'session',
        subject: person.id,
        body: { event: 'offered', person: person.id, by: key === 'the machine' ? key : 'their key', expires },
        writes: [insertSignInCode({ tokenHash: hash, envelope, expires }), forgetSignInCodes(instantOf(nowMs))],
      });
      return { token, expires };
    },
    async redeem(token, replaces) {
      const hash = tokenHash(token);
      const envelope = await signInCode(store, hash);
      // The state is no authority: only what a person's key has signed signs them in.
      const verified =
        envelope === undefined
          ? { why: 'there is none, or it was used' }
          : verifySignIn(envelope, {
              token: hash,
              people: deps.people(),
              ledgerKey: deps.ledgerKey.publicKey,
              now: deps.now(),
            });
      if ('why' in verified) return no(verified.why);
      try {
        return await sessions.open({
          person: verified.person.id,
          ...('first' in verified ? FIRST : { via: 'key', credential: verified.key }),
          replaces,
          writes: [redeemSignInCode(hash)],
        });
      } catch (error) {
        if (error instanceof GuardFailed) return no('it was used just now');
        throw error;
      }
    },
  };
}

function no(why: string): SignedIn {
  return {
    refused: {
      refused: 'denied',
      message: `This sign-in does not count: ${why}.`,
      hint: 'Make another: countersign console login --as PERSON. It is good once, for two minutes.',
    },
  };
}

import type { Person } from '../domain/actor.ts';
import type { ActorId } from '../domain/ids.ts';
import { keyId } from '../ledger/signing-key.ts';
import type { Proof } from '../pipeline/proof.ts';
import type { Store } from '../store/store.ts';
import { createPersonSessions, type PersonSessions, type SignInWay } from './person-sessions.ts';
import { createSignInCodes, type SignInCodes } from './sign-in-codes.ts';
import { createSignInLimits, type SignInLimits } from './sign-in-limits.ts';

/** Who people are, how they show it, and for how long it holds. */
export interface Identity {
  readonly sessions: PersonSessions;
  readonly codes: SignInCodes;
  readonly limits: SignInLimits;
}

export function createIdentity(deps: {
  readonly store: Store;
  readonly proof: Proof;
  readonly people: () => ReadonlyMap<ActorId, Person>;
  readonly session: () => { readonly idleMs: number; readonly longestMs: number };
  readonly now: () => number;
}): Identity {
  const { store, proof, people, now } = deps;
  const sessions = createPersonSessions({ store, proof, people, limits: deps.session, counts, now });
  return {
    sessions,
    codes: createSignInCodes({ store, proof, sessions, people, now }),
    limits: createSignInLimits(now, (address) =>
      proof.log.warn({ address }, 'an address is locked out: it keeps failing to sign in'),
    ),
  };

  async function counts(person: Person, via: SignInWay, credential: string): Promise<boolean> {
    return via === 'key' && person.publicKeys.some((key) => keyId(key) === credential);
  }
}

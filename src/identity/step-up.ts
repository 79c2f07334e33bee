import type { Person } from '../domain/actor.ts';
import { describeDuration } from '../domain/describe-duration.ts';
import type { Tier } from '../domain/environment.ts';
import { type ActorId, type Instant, instantOf } from '../domain/ids.ts';
import type { Refusal } from '../domain/refusal.ts';
import { asksForStepUp, type SteppedUpAct } from '../domain/step-up.ts';
import { GuardFailed } from '../ledger/ledger.ts';
import type { Proof } from '../pipeline/proof.ts';
import { stepUpPersonSession } from '../store/person-sessions.ts';
import type { Store } from '../store/store.ts';
import { asserted, usedBefore } from './asserted.ts';
import type { Challenges } from './challenges.ts';
import { doesNotCount } from './counting-passkeys.ts';
import type { PersonSession } from './person-sessions.ts';
import { type AskedSignature, type Assertion, GOOD_FOR_MS } from './signed-by-passkey.ts';

/** Showing anew who one is, within a session: for what a browser that somebody left open must not be enough for. */
export interface StepUp {
  /**
   * Why the person must first show who they are; `undefined` where they have, lately enough, or needn’t.
   *
   * @param tier where it would be done.
   */
  missing(
    session: PersonSession,
    act: SteppedUpAct,
    tier?: Tier,
  ): { readonly message: string; readonly hint: string } | undefined;
  /** What to ask the authenticator for. */
  ask(session: PersonSession, origin: string): AskedSignature['options'] | { readonly refused: Refusal };
  /** Takes its answer: of this session's person, for this session, once, within five minutes. */
  receive(
    session: PersonSession,
    origin: string,
    assertion: Assertion,
  ): Promise<{ readonly steppedUpAt: Instant } | { readonly refused: Refusal }>;
}

export function createStepUp(deps: {
  readonly store: Store;
  readonly proof: Proof;
  readonly challenges: Challenges;
  readonly people: () => ReadonlyMap<ActorId, Person>;
  /** For how long it holds, in milliseconds. */
  readonly freshMs: () => number;
  readonly oidc: () => boolean;
  readonly now: () => number;
}): StepUp {
  const purposeOf = ({ id }: PersonSession) => `step up ${id}`;

  return {
    missing(session, act, tier) {
      // A token is no session that somebody left open: its person signed it for just the rights that it has.
      if (session.via === 'token' || !asksForStepUp(act, tier)) return undefined;
      // Another gateway's clock may be ahead of ours.
      const ageMs = Math.abs(deps.now() - Date.parse(session.steppedUpAt));
      if (ageMs < deps.freshMs()) return undefined;
      const ways = [
        'with a passkey (POST /api/session/step-up/options, and the answer to /api/session/step-up)',
        ...(deps.oidc() ? ['with your provider (/api/session/oidc?again)'] : []),
        `with your key (countersign console login --as ${session.person})`,
      ];
      return {
        message: `For this, ${session.person} must have shown who they are in the last ${describeDuration(deps.freshMs())}. Nothing was done.`,
        hint: `Show it ${ways.join(', or ')}, and do it again. Halting never needs it.`,
      };
    },

    ask(session, origin) {
      const passkeys = deps.people().get(session.person)?.passkeys ?? [];
      const [first, ...others] = passkeys.filter((passkey) => passkey.origin === origin);
      if (first === undefined)
        return doesNotCount(
          `${session.person} has no passkey for ${origin} that somebody has vouched for`,
          `Sign in anew with your key: countersign console login --as ${session.person}`,
        );
      return {
        challenge: deps.challenges.issue(purposeOf(session)).toString('base64url'),
        rpId: first.rpId,
        userVerification: 'required',
        timeout: GOOD_FOR_MS,
        allowCredentials: [first, ...others].map(({ credential }) => ({ id: credential, type: 'public-key' })),
      };
    },

    async receive(session, origin, assertion) {
      const answer = await asserted(assertion, { origin, purpose: purposeOf(session) }, deps);
      if ('refused' in answer) return answer;
      const { passkey, writes } = answer;
      if (passkey.person !== session.person)
        return doesNotCount(
          `it is a passkey of ${passkey.person}, and ${session.person} is signed in`,
          'Use your own.',
        );
      const { id, person } = session;
      const steppedUpAt = instantOf(deps.now());
      try {
        await deps.proof.record({
          kind: 'session',
          subject: id,
          body: { session: id, event: 'stepped up', person, via: 'passkey', credential: passkey.id },
          writes: [...writes, stepUpPersonSession(id, person, steppedUpAt)],
        });
      } catch (error) {
        if (error instanceof GuardFailed) return usedBefore(passkey);
        throw error;
      }
      return { steppedUpAt };
    },
  };
}

import type { PersonKey } from '../approval/person-key.ts';
import { hasNothing } from '../approval/sign-in.ts';
import type { Person } from '../domain/actor.ts';
import type { ActorId } from '../domain/ids.ts';
import { keyId } from '../ledger/signing-key.ts';
import type { Delegations } from '../pipeline/delegations.ts';
import type { KnownPasskeys } from '../pipeline/passkeys.ts';
import type { Proof } from '../pipeline/proof.ts';
import type { ReceiveVerdict } from '../pipeline/verdicts.ts';
import type { Store } from '../store/store.ts';
import { type ApiTokens, createApiTokens } from './api-tokens.ts';
import { createChallenges } from './challenges.ts';
import { passkeyThatCounts } from './counting-passkeys.ts';
import { createOidcSignIn, type OidcSettings, type OidcSignIn } from './oidc.ts';
import { createPasskeySigning, type PasskeySigning } from './passkey-signing.ts';
import { createPasskeyVerdicts, type PasskeyVerdicts } from './passkey-verdicts.ts';
import { createPasskeyVouching, type PasskeyVouching } from './passkey-vouching.ts';
import { createPasskeys, type Passkeys } from './passkeys.ts';
import { createPersonSessions, type PersonSessions, type SignInWay } from './person-sessions.ts';
import { createSignInCodes, FIRST, type SignInCodes } from './sign-in-codes.ts';
import { createSignInLimits, type SignInLimits } from './sign-in-limits.ts';
import { createSlackClicks, type SlackClicks, type SlackSettings } from './slack-clicks.ts';
import { createStepUp, type StepUp } from './step-up.ts';

/** Who people are, how they show it, and for how long it holds. */
export interface Identity {
  readonly sessions: PersonSessions;
  readonly codes: SignInCodes;
  readonly passkeys: Passkeys;
  readonly vouching: PasskeyVouching;
  readonly tokens: ApiTokens;
  readonly signing: PasskeySigning;
  readonly verdicts: PasskeyVerdicts;
  readonly stepUp: StepUp;
  readonly oidc: OidcSignIn;
  readonly limits: SignInLimits;
  readonly clicks: SlackClicks;
}

export function createIdentity(deps: {
  readonly store: Store;
  readonly proof: Proof;
  /** With the passkeys that count. */
  readonly people: () => ReadonlyMap<ActorId, Person>;
  readonly known: KnownPasskeys;
  readonly session: () => { readonly idleMs: number; readonly longestMs: number; readonly stepUpMs: number };
  /** `null` where there is no provider. */
  readonly oidc: () => OidcSettings | null;
  /** `null` where there is none. */
  readonly slack: () => SlackSettings | null;
  readonly delegations: Pick<Delegations, 'standing'>;
  readonly receiveVerdict: ReceiveVerdict;
  readonly ledgerKey: PersonKey;
  /** The same for every gateway of this configuration, and known to nobody else. */
  readonly secret: Buffer;
  readonly now: () => number;
}): Identity {
  const { store, proof, people, known, ledgerKey, receiveVerdict, secret, now } = deps;
  const sessions = createPersonSessions({ store, proof, people, limits: deps.session, counts, secret, now });
  const challenges = createChallenges({ secret, now });
  const passkeys = createPasskeys({ store, proof, sessions, known, challenges, people, ledgerKey, now });
  const signing = createPasskeySigning({ people, now });
  const oidc = createOidcSignIn({
    settings: deps.oidc,
    sessions,
    challenges,
    secret,
    people,
    freshMs: () => deps.session().stepUpMs,
    now,
    log: proof.log,
  });
  return {
    oidc,
    sessions,
    codes: createSignInCodes({ store, proof, sessions, people, ledgerKey, now }),
    passkeys,
    vouching: createPasskeyVouching({ people, passkeys }),
    tokens: createApiTokens({ store, proof, people, now }),
    signing,
    stepUp: createStepUp({
      store,
      proof,
      challenges,
      people,
      freshMs: () => deps.session().stepUpMs,
      oidc: () => oidc.configured,
      now,
    }),
    verdicts: createPasskeyVerdicts({ signing, people, delegations: deps.delegations, receiveVerdict, now }),
    clicks: createSlackClicks({ store, settings: deps.slack, people, gateway: ledgerKey, receiveVerdict, now }),
    limits: createSignInLimits(now, (address) =>
      proof.log.warn({ address }, 'an address is locked out: it keeps failing to sign in'),
    ),
  };

  async function counts(person: Person, via: SignInWay, credential: string): Promise<boolean> {
    switch (via) {
      case 'key':
        return person.publicKeys.some((key) => keyId(key) === credential);
      case 'passkey':
        return passkeyThatCounts(people(), credential, person.id) !== undefined;
      case 'code':
        return credential === FIRST.credential && hasNothing(person);
      case 'oidc':
        return oidc.counts(person, credential);
      default:
        return via satisfies never;
    }
  }
}

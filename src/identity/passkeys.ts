import type {
  PublicKeyCredentialCreationOptionsJSON,
  PublicKeyCredentialRequestOptionsJSON,
  RegistrationResponseJSON,
} from '@simplewebauthn/server';
import { type PasskeyEnvelope, passkeyId, signPasskey, verifyPasskey } from '../approval/passkey.ts';
import type { PersonKey } from '../approval/person-key.ts';
import type { Person } from '../domain/actor.ts';
import { canonicalJson, type Json } from '../domain/digest.ts';
import { type ActorId, asId, type Instant, instantOf } from '../domain/ids.ts';
import type { Passkey, PasskeyStatement } from '../domain/passkey.ts';
import type { Refusal } from '../domain/refusal.ts';
import { GuardFailed } from '../ledger/ledger.ts';
import type { KnownPasskeys } from '../pipeline/passkeys.ts';
import type { Proof } from '../pipeline/proof.ts';
import { allPasskeys, confirmPasskey, insertPasskey, passkeysOf, removePasskey } from '../store/passkeys.ts';
import type { PasskeyRow } from '../store/schema.ts';
import type { Store } from '../store/store.ts';
import { asserted, usedBefore } from './asserted.ts';
import type { Challenges } from './challenges.ts';
import { ALGORITHMS, publicKeyOf } from './cose-key.ts';
import { doesNotCount, passkeyThatCounts, userHandle } from './counting-passkeys.ts';
import type { PersonSession, PersonSessions } from './person-sessions.ts';
import type { SignedIn } from './sign-in-codes.ts';
import type { Assertion } from './signed-by-passkey.ts';

/** A passkey as its owner sees it. */
export interface RegisteredPasskey {
  readonly id: string;
  readonly person: ActorId;
  readonly origin: string;
  readonly registeredAt: Instant;
  /** Until somebody who may has vouched for it, it counts for nothing. */
  readonly confirmed: boolean;
}

type Refused = { readonly refused: Refusal };

/** Passkeys of people: registered by a browser, vouched for by a key, then as good as one. */
export interface Passkeys {
  registrationOptions(
    session: PersonSession,
    origin: string,
  ): Promise<PublicKeyCredentialCreationOptionsJSON | Refused>;
  register(
    session: PersonSession,
    origin: string,
    response: RegistrationResponseJSON,
  ): Promise<{ readonly passkey: RegisteredPasskey } | Refused>;
  signInOptions(origin: string): Promise<PublicKeyCredentialRequestOptionsJSON | Refused>;
  signIn(origin: string, assertion: Assertion, replaces: string | undefined): Promise<SignedIn>;
  /** What its owner signs to vouch for it. */
  statement(id: string): Promise<PasskeyStatement | undefined>;
  confirm(envelope: PasskeyEnvelope): Promise<{ readonly passkey: RegisteredPasskey } | Refused>;
  list(person?: ActorId): Promise<readonly RegisteredPasskey[]>;
  /** @returns whether there was one. */
  revoke(id: string, by: string, reason: string): Promise<boolean>;
}

const NAME = 'Countersign';

/** Loaded when somebody has a passkey: no other command is to wait for its hundreds of files. */
const webauthn = () => import('@simplewebauthn/server');

export function createPasskeys(deps: {
  readonly store: Store;
  readonly proof: Proof;
  readonly sessions: PersonSessions;
  readonly known: KnownPasskeys;
  readonly challenges: Challenges;
  readonly people: () => ReadonlyMap<ActorId, Person>;
  readonly ledgerKey: PersonKey;
  readonly now: () => number;
}): Passkeys {
  const { store, proof, sessions, challenges } = deps;

  const countsFor = ({ id, person }: PasskeyRow) => passkeyThatCounts(deps.people(), id, person) !== undefined;
  const shown = (row: PasskeyRow): RegisteredPasskey => ({
    id: row.id,
    person: asId<ActorId>(row.person),
    origin: (JSON.parse(row.statement) as PasskeyStatement).origin,
    registeredAt: row.registered_at as Instant,
    confirmed: countsFor(row),
  });
  const find = async (id: string) => (await allPasskeys(store)).find((row) => row.id === id);

  async function vouched(envelope: PasskeyEnvelope, passkey: Passkey): Promise<void> {
    await proof.record({
      kind: 'passkey',
      subject: passkey.id,
      body: { ...passkey, passkey: passkey.id, event: 'confirmed', envelope: envelope as unknown as Json },
      writes: [confirmPasskey(passkey.id, canonicalJson(envelope as unknown as Json))],
    });
    await deps.known.refresh();
  }

  return {
    async registrationOptions(session, origin) {
      const rpId = nameOf(origin);
      if (rpId === undefined) return noName(origin);
      const taken = await passkeysOf(store, session.person);
      const { generateRegistrationOptions } = await webauthn();
      return generateRegistrationOptions({
        rpName: NAME,
        rpID: rpId,
        userName: session.person,
        userDisplayName: session.name,
        userID: userHandle(session.person),
        challenge: new Uint8Array(challenges.issue(`register ${session.id}`)),
        attestationType: 'none',
        excludeCredentials: taken.map(({ credential }) => ({ id: credential })),
        authenticatorSelection: { residentKey: 'required', userVerification: 'required' },
        supportedAlgorithmIDs: [...ALGORITHMS],
      });
    },

    async register(session, origin, response) {
      const rpId = nameOf(origin);
      if (rpId === undefined) return noName(origin);
      const { verifyRegistrationResponse } = await webauthn();
      let spend: ReturnType<Challenges['accept']>;
      const verified = await verifyRegistrationResponse({
        response,
        expectedChallenge: (challenge) => {
          spend = challenges.accept(challenge, `register ${session.id}`);
          return spend !== undefined;
        },
        expectedOrigin: origin,
        expectedRPID: rpId,
        requireUserVerification: true,
        supportedAlgorithmIDs: [...ALGORITHMS],
      }).catch((error: unknown) => (error instanceof Error ? error : new Error(String(error))));
      if (verified instanceof Error) return doesNotCount(verified.message, 'Begin the registration again.');
      const publicKey = verified.verified
        ? await publicKeyOf(verified.registrationInfo.credential.publicKey)
        : undefined;
      if (!verified.verified || publicKey === undefined || spend === undefined)
        return doesNotCount('the authenticator’s answer is not one to this registration', 'Begin it again.');
      const at = instantOf(deps.now());
      const { id: credential, counter } = verified.registrationInfo.credential;
      const about = { person: session.person, credential, publicKey, rpId, origin };
      const statement: PasskeyStatement = { type: 'https://countersign.dev/passkey/v1', ...about, at };
      const row: PasskeyRow = {
        id: passkeyId(about),
        person: session.person,
        credential,
        statement: canonicalJson(statement as unknown as Json),
        envelope: null,
        counter,
        registered_at: at,
      };
      try {
        await proof.record({
          kind: 'passkey',
          subject: row.id,
          body: { ...about, passkey: row.id, event: 'registered', session: session.id },
          writes: [...spend, insertPasskey(row)],
        });
      } catch (error) {
        if (error instanceof GuardFailed)
          return doesNotCount('this authenticator is registered already', 'Use it to sign in.');
        throw error;
      }
      // The code was made at the machine for just this; whoever has a key vouches with it themselves.
      if (session.via === 'code') await vouched(signPasskey(statement, deps.ledgerKey), { id: row.id, ...about });
      return { passkey: shown(row) };
    },

    async signInOptions(origin) {
      const rpID = nameOf(origin);
      if (rpID === undefined) return noName(origin);
      const challenge = new Uint8Array(challenges.issue('sign in'));
      const { generateAuthenticationOptions } = await webauthn();
      return generateAuthenticationOptions({ rpID, challenge, userVerification: 'required' });
    },

    async signIn(origin, assertion, replaces) {
      const answer = await asserted(assertion, { origin, purpose: 'sign in' }, deps);
      if ('refused' in answer) return answer;
      const { passkey, writes } = answer;
      try {
        return await sessions.open({
          person: passkey.person,
          via: 'passkey',
          credential: passkey.id,
          replaces,
          writes,
        });
      } catch (error) {
        if (error instanceof GuardFailed) return usedBefore(passkey);
        throw error;
      }
    },

    async statement(id) {
      const row = await find(id);
      const said = row === undefined ? undefined : (JSON.parse(row.statement) as PasskeyStatement);
      // The id is what its owner has compared: whoever put another key into the state has put it under another id.
      return said !== undefined && passkeyId(said) === id ? said : undefined;
    },

    async confirm(envelope) {
      const ledgerKeys: readonly Uint8Array[] = [];
      const passkey = verifyPasskey(envelope, { people: deps.people(), ledgerKeys });
      const row = passkey === undefined ? undefined : await find(passkey.id);
      if (passkey === undefined || row === undefined)
        return doesNotCount('it vouches for no passkey that was registered here', 'Sign it with your own key.');
      await vouched(envelope, passkey);
      return { passkey: shown(row) };
    },

    async list(person) {
      return (person === undefined ? await allPasskeys(store) : await passkeysOf(store, person)).map(shown);
    },

    async revoke(id, by, reason) {
      const row = await find(id);
      if (row === undefined) return false;
      await proof.record({
        kind: 'passkey',
        subject: id,
        body: { passkey: id, event: 'revoked', person: row.person, by, reason },
        writes: [removePasskey(id)],
      });
      await deps.known.refresh();
      return true;
    },
  };
}

/** The name to which authenticators bind passkeys: an address is none (WebAuthn Level 3 §5.1.2). */
function nameOf(origin: string): string | undefined {
  const { hostname } = new URL(origin);
  return /^\[|^\d+(\.\d+){3}$/.test(hostname) ? undefined : hostname;
}

function noName(origin: string): Refused {
  return doesNotCount(
    `passkeys belong to a name, and ${origin} is an address`,
    'Open the console as localhost, or by its name.',
  );
}

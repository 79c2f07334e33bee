import type { Person } from '../domain/actor.ts';
import { canonicalJson, type Json } from '../domain/digest.ts';
import type { Envelope } from '../domain/envelope.ts';
import type { ActorId, Instant } from '../domain/ids.ts';
import type { Refusal } from '../domain/refusal.ts';
import { type AskedSignature, type Assertion, askFor, envelopeOf, GOOD_FOR_MS } from './signed-by-passkey.ts';

/** A statement that is about to be signed: whose, and of when. */
interface OfNow {
  readonly person: ActorId;
  readonly at: Instant;
}

/** What a signed-in person sends back of what they were asked to sign. */
export interface SignedByDevice {
  /** Who is signed in: they send their own statements only. */
  readonly person: ActorId;
  readonly payload: string;
  readonly assertion: Assertion;
}

type Refused = { readonly refused: Refusal };

/** Has a passkey of a person sign statements of any kind, and takes what it signed. Whether that counts is not asked here. */
export interface PasskeySigning {
  /** @param command how the same is signed with a key. */
  ask<Statement extends OfNow>(
    payloadType: string,
    statement: Statement,
    from: { readonly origin: string; readonly command: string },
  ): (AskedSignature & { readonly statement: Statement }) | Refused;
  /** @param open reads an envelope of that type strictly. */
  take<Type extends string, Statement extends OfNow>(
    payloadType: Type,
    signed: SignedByDevice,
    open: (envelope: Envelope<Type>) => {
      readonly opened: boolean;
      readonly why?: string;
      readonly statement?: Statement;
    },
  ): { readonly envelope: Envelope<Type>; readonly statement: Statement } | Refused;
}

export function createPasskeySigning(deps: {
  readonly people: () => ReadonlyMap<ActorId, Person>;
  readonly now: () => number;
}): PasskeySigning {
  return {
    ask(payloadType, statement, { origin, command }) {
      const { person } = statement;
      const passkeys = deps.people().get(person)?.passkeys ?? [];
      const [first, ...others] = passkeys.filter((passkey) => passkey.origin === origin);
      if (first === undefined) {
        return no(
          `${person} has no passkey for ${origin} that somebody has vouched for.`,
          `Register one, or sign with your key: ${command}`,
        );
      }
      const payload = Buffer.from(canonicalJson(statement as unknown as Json), 'utf8');
      return { statement, ...askFor(payloadType, payload, [first, ...others]) };
    },

    take(payloadType, { person, payload, assertion }, open) {
      const passkeys = deps.people().get(person)?.passkeys ?? [];
      const passkey = passkeys.find(({ credential }) => credential === assertion.id);
      if (passkey === undefined) return no(`This is no passkey of ${person} that counts.`, 'Sign with your own.');
      const envelope = envelopeOf(payloadType, payload, passkey, assertion);
      const opened = open(envelope);
      const { statement } = opened;
      if (statement === undefined) return no(`This does not count: ${opened.why}.`, 'Ask for what to sign again.');
      if (statement.person !== person)
        return no('This does not count: it is a statement of somebody else.', 'Ask for what to sign again.');
      if (deps.now() - Date.parse(statement.at) > GOOD_FOR_MS)
        return no('This does not count: it was asked for too long ago.', 'Look at it again, and decide anew.');
      return { envelope, statement };
    },
  };
}

function no(message: string, hint: string): Refused {
  return { refused: { refused: 'denied', message, hint } };
}

import { PASSKEY_TYPE } from '../approval/passkey.ts';
import type { Person } from '../domain/actor.ts';
import { canonicalJson, type Json } from '../domain/digest.ts';
import type { ActorId } from '../domain/ids.ts';
import type { Refusal } from '../domain/refusal.ts';
import type { Passkeys } from './passkeys.ts';
import { type AskedSignature, type Assertion, askFor, envelopeOf } from './signed-by-passkey.ts';

/** Vouching for another device with one that counts already: whoever has no key has no other way. */
export interface PasskeyVouching {
  ask(id: string, person: ActorId, origin: string): Promise<AskedSignature | { readonly refused: Refusal }>;
  receive(id: string, person: ActorId, assertion: Assertion): ReturnType<Passkeys['confirm']>;
}

export function createPasskeyVouching(deps: {
  readonly people: () => ReadonlyMap<ActorId, Person>;
  readonly passkeys: Passkeys;
}): PasskeyVouching {
  const counting = (person: ActorId) => deps.people().get(person)?.passkeys ?? [];

  async function payloadOf(id: string, person: ActorId): Promise<Buffer | undefined> {
    const statement = await deps.passkeys.statement(id);
    if (statement === undefined || statement.person !== person) return undefined;
    return Buffer.from(canonicalJson(statement as unknown as Json), 'utf8');
  }

  return {
    async ask(id, person, origin) {
      const payload = await payloadOf(id, person);
      if (payload === undefined) return unknown(id, person);
      const [first, ...others] = counting(person).filter((passkey) => passkey.origin === origin);
      if (first === undefined)
        return no(
          `${person} has no passkey that counts here yet.`,
          `Vouch with your key: countersign passkey confirm ${id} --as ${person}`,
        );
      return askFor(PASSKEY_TYPE, payload, [first, ...others]);
    },

    async receive(id, person, assertion) {
      const payload = await payloadOf(id, person);
      const passkey = counting(person).find(({ credential }) => credential === assertion.id);
      if (payload === undefined || passkey === undefined) return unknown(id, person);
      return deps.passkeys.confirm(envelopeOf(PASSKEY_TYPE, payload.toString('base64'), passkey, assertion));
    },
  };
}

function unknown(id: string, person: ActorId): { readonly refused: Refusal } {
  return no(
    `${person} has registered no passkey ${id.slice(0, 80)}, or signs with none that counts.`,
    'Register it first.',
  );
}

function no(message: string, hint: string): { readonly refused: Refusal } {
  return { refused: { refused: 'denied', message, hint } };
}

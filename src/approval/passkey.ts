import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { Person } from '../domain/actor.ts';
import { canonicalJson, type Json } from '../domain/digest.ts';
import type { Envelope } from '../domain/envelope.ts';
import type { Passkey, PasskeyStatement } from '../domain/passkey.ts';
import { opened, sealed } from './dsse.ts';
import type { PersonKey } from './person-key.ts';

export const PASSKEY_TYPE = 'application/vnd.countersign.passkey+json';
export type PasskeyEnvelope = Envelope<typeof PASSKEY_TYPE>;

/** Vouches for a passkey with the key of the person whose it is, or for their first with the key of the ledger. */
export function signPasskey(statement: PasskeyStatement, key: PersonKey): PasskeyEnvelope {
  return sealed(PASSKEY_TYPE, statement as unknown as Json, key);
}

/** What stands for a passkey where people read and type it: it follows from whose key it is. */
export function passkeyId({
  person,
  credential,
  publicKey,
}: Pick<Passkey, 'person' | 'credential' | 'publicKey'>): string {
  const digest = createHash('sha256').update(canonicalJson({ person, credential, publicKey }));
  return `passkey_${digest.digest('hex').slice(0, 16)}`;
}

const statementSchema = z.strictObject({
  type: z.literal('https://countersign.dev/passkey/v1'),
  person: z.string().min(1),
  credential: z.string().regex(/^[\w-]{1,1400}$/),
  publicKey: z.string().regex(/^(p256:[A-Za-z0-9+/]{87}=|ed25519:[A-Za-z0-9+/]{43}=)$/),
  rpId: z.string().min(1),
  origin: z.string().min(1),
  at: z.iso.datetime({ precision: 3 }),
});

/**
 * The passkey that an envelope vouches for, if it counts: the person's own key or another passkey of theirs signed it. A
 * person who has no key in the configuration begins with one that the ledger's key signed, by a code made at the machine.
 *
 * @param person with the passkeys that count already.
 */
export function verifyPasskey(
  envelope: unknown,
  question: { readonly people: ReadonlyMap<string, Person>; readonly ledgerKeys: readonly Uint8Array[] },
): Passkey | undefined {
  const vouched = opened<PasskeyStatement>(envelope, {
    payloadType: PASSKEY_TYPE,
    kind: 'passkey',
    statement: statementSchema,
  });
  if (!vouched.opened) return undefined;
  const { type: _type, at: _at, ...passkey } = vouched.statement;
  const person = question.people.get(passkey.person);
  if (person === undefined) return undefined;
  const counts =
    vouched.verifiedByPerson(person) ||
    (person.publicKeys.length === 0 && question.ledgerKeys.some((key) => vouched.verifiedBy(key)));
  return counts ? { id: passkeyId(passkey), ...passkey } : undefined;
}

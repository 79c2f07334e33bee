import { z } from 'zod';
import type { Person } from '../domain/actor.ts';
import type { Json } from '../domain/digest.ts';
import type { Envelope } from '../domain/envelope.ts';
import type { ActorId, Digest, Instant } from '../domain/ids.ts';
import { keyId } from '../ledger/signing-key.ts';
import { digest, opened, sealed } from './dsse.ts';
import type { PersonKey } from './person-key.ts';

const PAYLOAD_TYPE = 'application/vnd.countersign.sign-in+json';

/** What a person signs to sign in elsewhere: whoever comes with this token soon is me, once. */
export interface SignInStatement {
  readonly type: 'https://countersign.dev/sign-in/v1';
  readonly person: ActorId;
  /** The digest of the token, never the token. */
  readonly token: Digest;
  readonly at: Instant;
  readonly expires: Instant;
}

const statementSchema = z.strictObject({
  type: z.literal('https://countersign.dev/sign-in/v1'),
  person: z.string().min(1),
  token: digest,
  at: z.iso.datetime({ precision: 3 }),
  expires: z.iso.datetime({ precision: 3 }),
});

export function signSignIn(statement: SignInStatement, key: PersonKey): Envelope<typeof PAYLOAD_TYPE> {
  return sealed(PAYLOAD_TYPE, statement as unknown as Json, key);
}

/** Whom a signed sign-in speaks for, and with which of their keys; or why it counts for nobody. */
export function verifySignIn(
  envelope: unknown,
  question: {
    readonly token: string;
    readonly people: ReadonlyMap<ActorId, Person>;
    /** With which the machine signs in whoever has nothing of their own yet. */
    readonly ledgerKey: Uint8Array;
    readonly now: number;
  },
):
  | { readonly person: Person; readonly key: string }
  | { readonly person: Person; readonly first: true }
  | { readonly why: string } {
  const signIn = opened<SignInStatement>(envelope, {
    payloadType: PAYLOAD_TYPE,
    kind: 'sign-in',
    statement: statementSchema,
  });
  if (!signIn.opened) return { why: signIn.why };
  const { statement } = signIn;
  if (statement.token !== question.token) return { why: 'it was made for another token' };
  if (question.now >= Date.parse(statement.expires)) return { why: `it was good until ${statement.expires}` };
  const person = question.people.get(statement.person);
  if (person === undefined) return { why: `${statement.person} is no person of the configuration` };
  const key = person.publicKeys.find((one) => signIn.verifiedBy(one));
  if (key !== undefined) return { person, key: keyId(key) };
  const first = hasNothing(person) && signIn.verifiedBy(question.ledgerKey);
  return first ? { person, first } : { why: `no key of ${person.id} signed it` };
}

/** Nobody else can vouch for who has a key or a passkey: that they do themselves. */
export function hasNothing({ publicKeys, passkeys }: Pick<Person, 'publicKeys' | 'passkeys'>): boolean {
  return publicKeys.length === 0 && passkeys.length === 0;
}

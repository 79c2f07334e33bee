import { z } from 'zod';
import type { Person } from '../domain/actor.ts';
import type { Json } from '../domain/digest.ts';
import type { Envelope } from '../domain/envelope.ts';
import type { ActorId, Digest, Instant } from '../domain/ids.ts';
import { RIGHTS, type Right } from '../domain/rights.ts';
import { digest, opened, sealed } from './dsse.ts';
import type { PersonKey } from './person-key.ts';

const PAYLOAD_TYPE = 'application/vnd.countersign.token+json';
export type TokenEnvelope = Envelope<typeof PAYLOAD_TYPE>;

/** What a person signs to let a program act for them: whoever has this token may do this much, until then. */
export interface TokenStatement {
  readonly type: 'https://countersign.dev/token/v1';
  readonly person: ActorId;
  readonly name: string;
  /** The digest of the token, never the token. */
  readonly token: Digest;
  readonly rights: readonly Right[];
  readonly at: Instant;
  readonly expires: Instant;
}

const statementSchema = z.strictObject({
  type: z.literal('https://countersign.dev/token/v1'),
  person: z.string().min(1),
  name: z.string().min(1).max(100),
  token: digest,
  rights: z.array(z.enum(RIGHTS)).min(1),
  at: z.iso.datetime({ precision: 3 }),
  expires: z.iso.datetime({ precision: 3 }),
});

export function signToken(statement: TokenStatement, key: PersonKey): TokenEnvelope {
  return sealed(PAYLOAD_TYPE, statement as unknown as Json, key);
}

/** What an envelope lets a token do, if a key or passkey of the person signed it, as the configuration knows them now. */
export function verifyToken(envelope: unknown, people: ReadonlyMap<ActorId, Person>): TokenStatement | undefined {
  const token = opened<TokenStatement>(envelope, {
    payloadType: PAYLOAD_TYPE,
    kind: 'token',
    statement: statementSchema,
  });
  const person = token.opened ? people.get(token.statement.person) : undefined;
  return token.opened && person !== undefined && token.verifiedByPerson(person) ? token.statement : undefined;
}

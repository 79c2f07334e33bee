import { randomBytes } from 'node:crypto';
import { signToken, type TokenStatement, verifyToken } from '../approval/api-token.ts';
import type { PersonKey } from '../approval/person-key.ts';
import type { Person } from '../domain/actor.ts';
import type { Json } from '../domain/digest.ts';
import { type ActorId, asId, type Digest, type Instant, instantOf } from '../domain/ids.ts';
import { RIGHTS, type Right, rightsOf } from '../domain/rights.ts';
import { GuardFailed } from '../ledger/ledger.ts';
import { lastEntryAbout } from '../ledger/newest-entry.ts';
import type { Proof } from '../pipeline/proof.ts';
import {
  allPersonTokens,
  forgetPersonTokens,
  insertPersonToken,
  personTokenByHash,
  removePersonToken,
} from '../store/person-tokens.ts';
import type { Store } from '../store/store.ts';
import type { PersonSession } from './person-sessions.ts';
import { newToken, tokenHash } from './secret-token.ts';

/**
 * What no token may do, whatever its person may: no token approves (G4), vouches, or makes another way in. Those take the
 * person themselves.
 */
const NEVER: readonly Right[] = ['plan.decide', 'code.vouch', 'passkey.own', 'passkey.revoke', 'token.own'];
export const TOKEN_RIGHTS: readonly Right[] = RIGHTS.filter((right) => !NEVER.includes(right));

/** A token as it is listed: what it may, and never what it is. */
export interface ApiToken {
  readonly id: string;
  readonly person: ActorId;
  readonly name: string;
  /** Those that were signed; at any time it has those of them that the person has then. */
  readonly rights: readonly Right[];
  readonly expires: Instant;
}

/** Tokens with which programs act for a person: scoped, expiring, signed by the person, kept as digests. */
export interface ApiTokens {
  create(
    person: Person,
    key: PersonKey,
    asked: { readonly name: string; readonly rights: readonly Right[]; readonly lifetimeMs: number },
  ): Promise<ApiToken & { readonly token: string }>;
  /** For whom a token speaks, and with which rights now. */
  byToken(token: string): Promise<PersonSession | undefined>;
  list(): Promise<readonly ApiToken[]>;
  /** @returns whether there was one. */
  revoke(id: string, by: string, reason: string): Promise<boolean>;
}

export function createApiTokens(deps: {
  readonly store: Store;
  readonly proof: Proof;
  readonly people: () => ReadonlyMap<ActorId, Person>;
  readonly now: () => number;
}): ApiTokens {
  const { store, proof } = deps;

  return {
    async create(person, key, { name, rights, lifetimeMs }) {
      const token = `csp_${newToken()}`;
      const [at, expires] = [instantOf(deps.now()), instantOf(deps.now() + lifetimeMs)];
      const statement: TokenStatement = {
        type: 'https://countersign.dev/token/v1',
        person: person.id,
        name,
        token: asId<Digest>(tokenHash(token)),
        rights,
        at,
        expires,
      };
      const id = `token_${randomBytes(8).toString('hex')}`;
      const envelope = signToken(statement, key);
      await proof.record({
        kind: 'token',
        subject: id,
        body: { token: id, event: 'made', person: person.id, name, rights, expires },
        writes: [
          insertPersonToken({ id, token_hash: statement.token, envelope, expires_at: expires }),
          forgetPersonTokens(at),
        ],
      });
      return { id, person: person.id, name, rights, expires, token };
    },

    async byToken(token) {
      const row = await personTokenByHash(store, tokenHash(token));
      // The state is no authority: only what the person signed is what it may.
      const signed = row === undefined ? undefined : verifyToken(JSON.parse(row.envelope), deps.people());
      const person = signed === undefined ? undefined : deps.people().get(signed.person);
      if (row === undefined || signed === undefined || person === undefined) return undefined;
      if (signed.token !== row.token_hash || deps.now() >= Date.parse(signed.expires)) return undefined;
      const last = (await lastEntryAbout(store, 'token', row.id))?.body as { event?: Json } | undefined;
      if (last?.event !== 'made') return undefined;
      const now = rightsOf(person);
      return {
        id: row.id,
        person: person.id,
        name: person.name,
        via: 'token',
        roles: person.roles,
        rights: signed.rights.filter((right) => now.includes(right) && TOKEN_RIGHTS.includes(right)),
        since: signed.at,
        steppedUpAt: signed.at,
        expires: signed.expires,
      };
    },

    async list() {
      const rows = await allPersonTokens(store);
      return rows.flatMap(({ id, envelope }) => {
        const signed = verifyToken(JSON.parse(envelope), deps.people());
        if (signed === undefined || deps.now() >= Date.parse(signed.expires)) return [];
        const { person, name, rights, expires } = signed;
        return [{ id, person, name, rights, expires }];
      });
    },

    async revoke(id, by, reason) {
      try {
        await proof.record({
          kind: 'token',
          subject: id,
          body: { token: id, event: 'revoked', by, reason },
          writes: [removePersonToken(id)],
        });
        return true;
      } catch (error) {
        if (error instanceof GuardFailed) return false;
        throw error;
      }
    },
  };
}

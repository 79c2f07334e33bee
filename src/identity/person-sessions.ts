import { createHmac, randomBytes } from 'node:crypto';
import type { Person, PersonRole } from '../domain/actor.ts';
import { type ActorId, asId, type Instant, instantOf } from '../domain/ids.ts';
import { type Right, rightsOf } from '../domain/rights.ts';
import { GuardFailed } from '../ledger/ledger.ts';
import type { Proof } from '../pipeline/proof.ts';
import {
  endPersonSession,
  forgetPersonSessions,
  insertPersonSession,
  openPersonSessions,
  personSessionByHash,
  stepUpPersonSession,
  touchPersonSession,
} from '../store/person-sessions.ts';
import type { PersonSessionRow } from '../store/schema.ts';
import type { Store } from '../store/store.ts';
import type { Write } from '../store/write.ts';
import { newToken, sameText, tokenHash } from './secret-token.ts';

/** How a person has shown who they are. A code of the machine is no proof of it, and lets them register a passkey only. */
export const SIGN_IN_WAYS = ['passkey', 'key', 'oidc', 'code'] as const;
export type SignInWay = (typeof SIGN_IN_WAYS)[number];

/** A person who is signed in, as the configuration knows them now. */
export interface PersonSession {
  readonly id: string;
  readonly person: ActorId;
  readonly name: string;
  /** `token`: no person is there, but a program with a token of theirs. */
  readonly via: SignInWay | 'token';
  readonly roles: readonly PersonRole[];
  readonly rights: readonly Right[];
  readonly since: Instant;
  /** When they last showed who they are, rather than that their browser is the same. */
  readonly steppedUpAt: Instant;
  /** Without another request; each puts it off, up to the longest time of a session. */
  readonly expires: Instant;
}

export interface SignIn {
  readonly person: ActorId;
  readonly via: SignInWay;
  /** Which key or passkey it was: the session ends when it no longer counts. */
  readonly credential: string;
  /** The most that it may be used for, of the person's roles; `null` or left out for all. */
  readonly roles?: readonly PersonRole[] | null;
  /** When they showed who they are, where that wasn’t just now; `null` where nobody knows. */
  readonly shownAt?: Instant | null;
  /** The token of the session that this browser had until now. */
  readonly replaces?: string | undefined;
  /** What must hold and become so in the same instant: a code is redeemed once. */
  readonly writes?: readonly Write[];
}

/**
 * Sessions of people. The token is known to the browser alone; it is made anew at every sign-in, so that none that was
 * planted before is worth anything. Every session is looked up in the state for every request: what is revoked on one
 * gateway is over on all.
 */
export interface PersonSessions {
  /** @throws GuardFailed when one of the writes found another state. */
  open(signIn: SignIn): Promise<{ readonly token: string; readonly session: PersonSession }>;
  byToken(token: string): Promise<PersonSession | undefined>;
  /** @returns whether it was open. */
  end(id: string, why: string, by: string): Promise<boolean>;
  steppedUp(session: PersonSession): Promise<void>;
  /** Those that are open now. */
  all(): Promise<readonly PersonSession[]>;
}

const NEVER = instantOf(0);
const FORGET_AFTER_MS = 24 * 3_600_000;
const TOUCH_EVERY_MS = 30_000;

export function createPersonSessions(deps: {
  readonly store: Store;
  readonly proof: Proof;
  readonly people: () => ReadonlyMap<ActorId, Person>;
  readonly limits: () => { readonly idleMs: number; readonly longestMs: number };
  /** Whether what a session was opened with still counts. */
  readonly counts: (person: Person, via: SignInWay, credential: string) => Promise<boolean>;
  /** The same for every gateway of this configuration, and known to nobody else. */
  readonly secret: Buffer;
  readonly now: () => number;
}): PersonSessions {
  const { store, proof } = deps;

  /** Who can write the state can't sign anybody in: for that they would need the gateways' secret as well. */
  function sealOf(row: Omit<PersonSessionRow, 'seal'>): string {
    const { id, token_hash, person, via, credential, roles, opened_at, ends_at } = row;
    const sealed = JSON.stringify([id, token_hash, person, via, credential, roles, opened_at, ends_at]);
    return createHmac('sha256', deps.secret).update(`session ${sealed}`).digest('base64url');
  }

  async function standing(row: PersonSessionRow): Promise<PersonSession | undefined> {
    const person = deps.people().get(asId<ActorId>(row.person));
    const via = SIGN_IN_WAYS.find((way) => way === row.via);
    if (person === undefined || via === undefined || !sameText(row.seal, sealOf(row))) return undefined;
    // The limits of now: a configuration that was tightened ends what is older.
    const { idleMs, longestMs } = deps.limits();
    const longest = Math.min(Date.parse(row.ends_at), Date.parse(row.opened_at) + longestMs);
    const expiresMs = Math.min(longest, Date.parse(row.seen_at) + idleMs);
    if (deps.now() >= expiresMs || !(await deps.counts(person, via, row.credential))) return undefined;
    const most = row.roles === null ? person.roles : (JSON.parse(row.roles) as readonly PersonRole[]);
    const roles = person.roles.filter((role) => most.includes(role));
    return {
      id: row.id,
      person: person.id,
      name: person.name,
      via,
      roles,
      rights: via === 'code' ? ['passkey.own'] : rightsOf({ roles }),
      since: row.opened_at as Instant,
      steppedUpAt: row.stepped_up_at as Instant,
      expires: instantOf(expiresMs),
    };
  }

  async function end(id: string, why: string, by: string): Promise<boolean> {
    try {
      await proof.record({
        kind: 'session',
        subject: id,
        body: { session: id, event: 'ended', why, by },
        writes: [endPersonSession(id, proof.now())],
      });
      return true;
    } catch (error) {
      if (error instanceof GuardFailed) return false;
      throw error;
    }
  }

  return {
    async open({ person, via, credential, roles = null, shownAt, replaces, writes = [] }) {
      const token = newToken();
      const id = `session_${randomBytes(8).toString('hex')}`;
      const nowMs = deps.now();
      const now = instantOf(nowMs);
      const said: Omit<PersonSessionRow, 'seal'> = {
        id,
        token_hash: tokenHash(token),
        person,
        via,
        credential,
        roles: roles === null ? null : JSON.stringify(roles),
        opened_at: now,
        seen_at: now,
        stepped_up_at: shownAt === undefined ? now : (shownAt ?? NEVER),
        ends_at: instantOf(nowMs + deps.limits().longestMs),
        ended_at: null,
      };
      const row: PersonSessionRow = { ...said, seal: sealOf(said) };
      await proof.record({
        kind: 'session',
        subject: id,
        body: { session: id, event: 'opened', person, via, credential, ...(roles === null ? {} : { roles }) },
        writes: [...writes, insertPersonSession(row), forgetPersonSessions(instantOf(nowMs - FORGET_AFTER_MS))],
      });
      const before = replaces === undefined ? undefined : await personSessionByHash(store, tokenHash(replaces));
      if (before !== undefined) await end(before.id, 'another sign-in in the same browser', person);
      const session = await standing(row);
      if (session === undefined) throw new Error(`${person} signed in, and is no person who may`);
      return { token, session };
    },
    async byToken(token) {
      const row = await personSessionByHash(store, tokenHash(token));
      const session = row === undefined ? undefined : await standing(row);
      if (row === undefined || session === undefined) return undefined;
      const now = deps.now();
      const everyMs = Math.min(TOUCH_EVERY_MS, deps.limits().idleMs / 10);
      // It proves nothing and loses nothing: like the heartbeat of a gateway it needs no entry.
      if (now - Date.parse(row.seen_at) >= everyMs) await store.commit([touchPersonSession(row.id, instantOf(now))]);
      return session;
    },
    end,
    async steppedUp({ id, person }) {
      await store.commit([stepUpPersonSession(id, person, instantOf(deps.now()))]);
    },
    async all() {
      const rows = await openPersonSessions(store, instantOf(deps.now()));
      return (await Promise.all(rows.map(standing))).flatMap((session) => session ?? []);
    },
  };
}

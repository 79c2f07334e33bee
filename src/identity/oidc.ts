import { createHmac } from 'node:crypto';
import type { Configuration } from 'openid-client';
import type { Person, PersonRole } from '../domain/actor.ts';
import { type ActorId, type Instant, instantOf } from '../domain/ids.ts';
import type { Refusal } from '../domain/refusal.ts';
import { GuardFailed } from '../ledger/ledger.ts';
import type { Log } from '../pipeline/proof.ts';
import type { Challenges } from './challenges.ts';
import type { PersonSessions } from './person-sessions.ts';
import type { SignedIn } from './sign-in-codes.ts';

/** Whom people sign in with, as the configuration says. */
export interface OidcSettings {
  readonly issuer: string;
  readonly clientId: string;
  readonly clientSecret: { reveal(): string };
  readonly scopes: readonly string[];
  readonly groupsClaim: string;
  /** Which roles the members of a group have here, of those that the configuration gives them; `null` asks for no groups. */
  readonly groups: ReadonlyMap<string, readonly PersonRole[]> | null;
}

/** Signing in by OpenID Connect: authorization code flow with PKCE, state and nonce (Core 1.0 §3.1, RFC 7636). */
export interface OidcSignIn {
  readonly configured: boolean;
  /** Where to send the browser, and what it must bring back to prove that it is the same one. */
  /**
   * @param again whether the provider must ask who is there, unless it has lately: for what a session is not enough for.
   */
  begin(
    origin: string,
    again?: boolean,
  ): Promise<{ readonly url: string; readonly ticket: string } | { readonly refused: Refusal }>;
  /** @param callback the address that the provider sent the browser to. @param ticket what the browser had kept. */
  finish(origin: string, callback: URL, ticket: string, replaces: string | undefined): Promise<SignedIn>;
  /** Whether a session of a person who signed in so still counts. */
  counts(person: Person, credential: string): boolean;
}

export const OIDC_CALLBACK = '/api/session/oidc/callback';
const [PURPOSE, AGAIN] = ['openid connect', 'openid connect, again'];
const TIMEOUT_S = 10;

/** Loaded where there is a provider. */
const client = () => import('openid-client');

export function createOidcSignIn(deps: {
  readonly settings: () => OidcSettings | null;
  readonly sessions: PersonSessions;
  readonly challenges: Challenges;
  readonly secret: Buffer;
  readonly people: () => ReadonlyMap<ActorId, Person>;
  /** How long ago somebody may have shown who they are, for what a session is not enough for. */
  readonly freshMs: () => number;
  readonly now: () => number;
  readonly log: Log;
}): OidcSignIn {
  let known: { readonly settings: OidcSettings; readonly provider: Promise<Configuration> } | undefined;

  /** Asked once for each configuration; what fails is asked again. */
  function providerOf(settings: OidcSettings): Promise<Configuration> {
    if (known?.settings === settings) return known.provider;
    const provider = discovered(settings);
    known = { settings, provider };
    provider.catch(() => {
      known = undefined;
    });
    return provider;
  }

  async function discovered(settings: OidcSettings): Promise<Configuration> {
    const { allowInsecureRequests, discovery } = await client();
    const issuer = new URL(settings.issuer);
    // Only a provider on this machine may be spoken to in the clear: the configuration refuses others.
    const execute = issuer.protocol === 'http:' ? [allowInsecureRequests] : [];
    const secret = settings.clientSecret.reveal();
    return discovery(issuer, settings.clientId, secret, undefined, { execute, timeout: TIMEOUT_S });
  }

  const maxAgeS = () => Math.max(1, Math.floor(deps.freshMs() / 1000));

  /** All that this sign-in is recognised by follows from the ticket, so that nobody has to remember it. */
  function secretsOf(ticket: string): { readonly state: string; readonly nonce: string; readonly verifier: string } {
    const derived = (what: string) => createHmac('sha256', deps.secret).update(`${what} ${ticket}`).digest('base64url');
    return { state: derived('state'), nonce: derived('nonce'), verifier: derived('verifier') };
  }

  return {
    get configured() {
      return deps.settings() !== null;
    },

    async begin(origin, again = false) {
      const settings = deps.settings();
      if (settings === null) return { refused: NOT_CONFIGURED };
      try {
        const { buildAuthorizationUrl, calculatePKCECodeChallenge } = await client();
        const ticket = deps.challenges.issue(again ? AGAIN : PURPOSE).toString('base64url');
        const { state, nonce, verifier } = secretsOf(ticket);
        const url = buildAuthorizationUrl(await providerOf(settings), {
          redirect_uri: `${origin}${OIDC_CALLBACK}`,
          scope: settings.scopes.join(' '),
          state,
          nonce,
          code_challenge: await calculatePKCECodeChallenge(verifier),
          code_challenge_method: 'S256',
          ...(again ? { max_age: String(maxAgeS()) } : {}),
        });
        return { url: url.href, ticket };
      } catch (error) {
        return { refused: unreachable(error) };
      }
    },

    async finish(origin, callback, ticket, replaces) {
      const settings = deps.settings();
      if (settings === null) return { refused: NOT_CONFIGURED };
      const again = deps.challenges.accept(ticket, AGAIN);
      const spend = again ?? deps.challenges.accept(ticket, PURPOSE);
      if (spend === undefined) return no('this browser has not begun it, or too long ago', 'Sign in again.');
      const { state, nonce, verifier } = secretsOf(ticket);
      let claims: Claims;
      let shownAt: Instant | null;
      try {
        const { authorizationCodeGrant, fetchUserInfo } = await client();
        const provider = await providerOf(settings);
        // The address as the provider was told it, whatever a proxy has made of it.
        const current = new URL(`${origin}${OIDC_CALLBACK}${callback.search}`);
        const tokens = await authorizationCodeGrant(provider, current, {
          expectedState: state,
          expectedNonce: nonce,
          pkceCodeVerifier: verifier,
          idTokenExpected: true,
          ...(again === undefined ? {} : { maxAge: maxAgeS() }),
        });
        const inToken: Claims = tokens.claims() ?? { sub: '' };
        shownAt = shownAtOf(inToken, deps.now());
        // Providers may keep all but the subject for who asks (Core 1.0 §5.4).
        const asked = provider.serverMetadata().userinfo_endpoint !== undefined;
        const more = asked ? await fetchUserInfo(provider, tokens.access_token, inToken.sub) : {};
        claims = { ...more, ...inToken };
      } catch (error) {
        deps.log.warn({ err: error }, 'a sign-in by OpenID Connect failed');
        return no('the provider’s answer doesn’t hold', 'Sign in again; the gateway’s log says what was wrong.');
      }
      const person = personOf(deps.people(), claims);
      if (person === undefined) {
        return no(
          `nobody here is ${claims.sub} of ${settings.issuer}`,
          `Whoever runs the gateway adds \`subject: ${JSON.stringify(claims.sub)}\`, or the e-mail address that the provider has verified, under actors.people.`,
        );
      }
      const roles = settings.groups === null ? null : rolesFrom(settings, claims);
      if (roles?.every((role) => !person.roles.includes(role)) === true) {
        return no(
          `no group of ${person.id} gives a role that they have here`,
          `Roles come from ${[...(settings.groups?.keys() ?? [])].join(', ')} (identity.oidc.groups), within those of the configuration.`,
        );
      }
      try {
        return await deps.sessions.open({
          person: person.id,
          via: 'oidc',
          credential: credentialOf(settings, claims.sub),
          roles,
          shownAt,
          replaces,
          writes: spend,
        });
      } catch (error) {
        if (error instanceof GuardFailed) return no('this answer was used before', 'Sign in again.');
        throw error;
      }
    },

    counts(person, credential) {
      const settings = deps.settings();
      if (settings === null || !credential.startsWith(credentialOf(settings, ''))) return false;
      // One who is told apart by subject now is no longer found by their address alone.
      return person.subject === undefined || credential === credentialOf(settings, person.subject);
    },
  };
}

interface Claims {
  readonly sub: string;
  readonly [claim: string]: unknown;
}

/** By the provider's own name for them, or by an address that it has verified: anybody can claim another one. */
function personOf(people: ReadonlyMap<ActorId, Person>, claims: Claims): Person | undefined {
  const all = [...people.values()];
  const bySubject = all.find(({ subject }) => subject !== undefined && subject === claims.sub);
  if (bySubject !== undefined) return bySubject;
  const { email, email_verified: verified } = claims;
  if (typeof email !== 'string' || verified !== true) return undefined;
  return all.find((one) => one.subject === undefined && one.email?.toLowerCase() === email.toLowerCase());
}

/** When the provider has asked who is there (`auth_time`, Core 1.0 §2): a sign-in may only say that the browser is the same. */
function shownAtOf({ auth_time: seconds }: Claims, nowMs: number): Instant | null {
  if (typeof seconds !== 'number' || !Number.isFinite(seconds) || seconds < 0) return null;
  return instantOf(Math.min(seconds * 1000, nowMs));
}

function rolesFrom({ groups, groupsClaim }: OidcSettings, claims: Claims): readonly PersonRole[] {
  const member: unknown = claims[groupsClaim];
  const names = Array.isArray(member) ? member : [member];
  return [...new Set(names.flatMap((name) => (typeof name === 'string' ? (groups?.get(name) ?? []) : [])))];
}

function credentialOf({ issuer }: OidcSettings, subject: string): string {
  return `${issuer} ${subject}`;
}

const NOT_CONFIGURED: Refusal = {
  refused: 'unsupported',
  message: 'No OpenID Connect provider is configured here.',
  hint: 'Sign in with a passkey, or with your key: countersign console login --as PERSON.',
};

function unreachable(error: unknown): Refusal {
  return {
    refused: 'unavailable',
    message: `The OpenID Connect provider can’t be used now: ${error instanceof Error ? error.message : String(error)}.`,
    hint: 'Sign in with a passkey, or with your key: countersign console login --as PERSON.',
  };
}

function no(why: string, hint: string): SignedIn {
  return { refused: { refused: 'denied', message: `This sign-in does not count: ${why}.`, hint } };
}

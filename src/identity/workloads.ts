import { createRemoteJWKSet, errors, type JWTVerifyGetKey, jwtVerify } from 'jose';
import type { ActorId } from '../domain/ids.ts';
import type { Log } from '../pipeline/proof.ts';

/** Who issues tokens in which agents are named, as the configuration says. */
export interface WorkloadIssuer {
  readonly issuer: string;
  /** Where its public keys are (RFC 7517). */
  readonly jwks: string;
  /** For whom a token must be made: for this gateway, and for nobody else. */
  readonly audience: string;
}

export interface WorkloadSettings {
  readonly issuers: readonly WorkloadIssuer[];
  /** Agents by issuer and subject, as {@link workloadKey} joins them. */
  readonly agents: ReadonlyMap<string, ActorId>;
}

export function workloadKey(issuer: string, subject: string): string {
  return `${issuer} ${subject}`;
}

/** Asymmetric ones alone: with a shared secret whoever verifies could issue as well. */
const ALGORITHMS = ['ES256', 'ES384', 'EdDSA', 'Ed25519', 'RS256', 'PS256'];
const CLOCK_TOLERANCE_S = 30;
/** A token that lives longer is a password; SPIFFE asks for minutes. */
const LONGEST_LIFE_S = 24 * 3600;
const FETCH_TIMEOUT_MS = 5000;

/** Agents that come with a token of their platform (RFC 9068, SPIFFE JWT-SVID) instead of one that was handed to them. */
export interface Workloads {
  /** The agent that a token names, if an issuer that is known made it for this gateway, and it is not over. */
  agent(token: string): Promise<ActorId | undefined>;
}

export function createWorkloads(deps: {
  readonly settings: () => WorkloadSettings;
  readonly now: () => number;
  readonly log: Log;
}): Workloads {
  const keys = new Map<string, JWTVerifyGetKey>();

  function keysOf({ jwks }: WorkloadIssuer): JWTVerifyGetKey {
    const known = keys.get(jwks) ?? createRemoteJWKSet(new URL(jwks), { timeoutDuration: FETCH_TIMEOUT_MS });
    keys.set(jwks, known);
    return known;
  }

  return {
    async agent(token) {
      const { issuers, agents } = deps.settings();
      const named = issuers.find(({ issuer }) => issuer === issuerNamed(token));
      if (named === undefined) return undefined;
      try {
        const { payload } = await jwtVerify(token, keysOf(named), {
          issuer: named.issuer,
          audience: named.audience,
          algorithms: ALGORITHMS,
          requiredClaims: ['sub', 'exp'],
          clockTolerance: CLOCK_TOLERANCE_S,
          currentDate: new Date(deps.now()),
        });
        const { sub = '', exp = 0, iat = deps.now() / 1000 } = payload;
        if (exp - Math.min(iat, deps.now() / 1000) > LONGEST_LIFE_S) return undefined;
        const agent = agents.get(workloadKey(named.issuer, sub));
        if (agent === undefined)
          deps.log.warn({ issuer: named.issuer, subject: sub }, 'a token names no agent of here');
        return agent;
      } catch (error) {
        // Their own words for tokens that don't hold, and for keys that could not be had.
        if (!(error instanceof errors.JOSEError) && !(error instanceof TypeError)) throw error;
        deps.log.warn({ issuer: named.issuer, err: error }, 'a token of an issuer does not count');
        return undefined;
      }
    },
  };
}

/** Which issuer a token says that it is of, before anything of it is believed. */
function issuerNamed(token: string): unknown {
  const [, payload, , ...more] = token.split('.');
  if (payload === undefined || more.length > 0) return undefined;
  try {
    return (JSON.parse(Buffer.from(payload, 'base64url').toString('utf8')) as { iss?: unknown } | null)?.iss;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

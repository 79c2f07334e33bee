import type { FastifyReply, FastifyRequest } from 'fastify';
import { noRight, type Right } from '../../domain/rights.ts';
import type { ApiTokens } from '../../identity/api-tokens.ts';
import type { PersonSession, PersonSessions } from '../../identity/person-sessions.ts';
import { csrfOf, sameText } from '../../identity/secret-token.ts';
import { bearerOf, challengeFor } from './bearer.ts';
import { sendError } from './http-error.ts';
import { isOwnPage, originOf } from './own-origin.ts';
import { sessionToken } from './session-cookie.ts';

/** Carries what only a page of this server can know (`GET /api/session` tells it). */
export const CSRF_HEADER = 'x-countersign-csrf';

/**
 * Makes the `preHandler` of a route that people use: it lets a request pass that comes with the cookie of an open session
 * whose person has the right. What may change something must come from a page of this server's own as well: the same
 * origin, and the header that only such a page can know. Read who it is with {@link signedInOf}.
 *
 * @param right `null` where being signed in is enough.
 */
export type PersonGuard = (
  right: Right | null,
) => (request: FastifyRequest, reply: FastifyReply) => Promise<FastifyReply | undefined>;

const signedIn = new WeakMap<FastifyRequest, PersonSession>();

/** @param publicUrl where browsers reach this server, when that is configured. */
export function createPersonGuard(deps: {
  readonly sessions: Pick<PersonSessions, 'byToken'>;
  readonly tokens: Pick<ApiTokens, 'byToken'>;
  readonly publicUrl: string | undefined;
}): PersonGuard {
  return (right) => async (request, reply) => {
    const bearer = bearerOf(request.headers);
    // A program that sends a token is no browser: no page can make one send this header for it.
    if (bearer.bearer !== 'none') {
      const session = bearer.bearer === 'token' ? await deps.tokens.byToken(bearer.token) : undefined;
      if (session !== undefined) return admitted(session, right, request, reply);
      return sendError(reply.header('www-authenticate', challengeFor(bearer)), 401, {
        code: 'unauthenticated',
        message: 'This is no token of a person, or it is over.',
        hint: 'A person makes one: countersign token create. Tokens of tasks are for /mcp and PostgreSQL.',
      });
    }
    const token = sessionToken(request.headers.cookie);
    const session = token === undefined ? undefined : await deps.sessions.byToken(token);
    if (token === undefined || session === undefined) {
      return sendError(reply, 401, {
        code: 'not_signed_in',
        message: token === undefined ? 'Nobody is signed in here.' : 'This session is over.',
        hint: 'Sign in: countersign console login --as PERSON prints an address to open.',
      });
    }
    if (!READS.has(request.method)) {
      const header = request.headers[CSRF_HEADER];
      if (!isOwnPage(request, originOf(request, deps.publicUrl)) || !sameText(String(header ?? ''), csrfOf(token))) {
        return sendError(reply, 403, {
          code: 'not_from_here',
          message: 'This change does not come from a page of this server.',
          hint: `A page sends its own origin, and as ${CSRF_HEADER} what GET /api/session says under csrf.`,
        });
      }
    }
    return admitted(session, right, request, reply);
  };
}

async function admitted(
  session: PersonSession,
  right: Right | null,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply | undefined> {
  if (right !== null && !session.rights.includes(right)) {
    const { message, hint } = noRight({ id: session.person }, right);
    return sendError(reply, 403, { code: 'no_right', message, hint });
  }
  signedIn.set(request, session);
  return undefined;
}

/** Who is signed in, in a route that {@link PersonGuard} guards. @throws Error in one that it doesn't. */
export function signedInOf(request: FastifyRequest): PersonSession {
  const session = signedIn.get(request);
  if (session === undefined) throw new Error('this route is not guarded, so nobody is known to be signed in');
  return session;
}

const READS: ReadonlySet<string> = new Set(['GET', 'HEAD']);

import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { Identity } from '../../identity/identity.ts';
import type { PersonSession } from '../../identity/person-sessions.ts';
import { csrfOf } from '../../identity/secret-token.ts';
import type { SignedIn } from '../../identity/sign-in-codes.ts';
import { type HttpError, sendError, sendRefusal } from './http-error.ts';
import { isOwnPage, isPrivate, originOf } from './own-origin.ts';
import { type PersonGuard, signedInOf } from './person-session.ts';
import { noSessionCookie, sessionCookie, sessionToken } from './session-cookie.ts';

/** How one can sign in, told to whoever isn't. */
interface SignInWays {
  readonly passkey: boolean;
  readonly oidc: string | null;
}

/** `GET` and `DELETE /api/session`: who is signed in, and signing out. `POST /api/session/one-time`: a code of `countersign console login`. */
export function serveSessions(
  app: FastifyInstance,
  deps: { readonly identity: Identity; readonly guard: PersonGuard; readonly publicUrl: string | undefined },
): void {
  const { identity, guard, publicUrl } = deps;

  app.get('/api/session', async (request, reply) => {
    const token = sessionToken(request.headers.cookie);
    const session = token === undefined ? undefined : await identity.sessions.byToken(token);
    if (token !== undefined && session !== undefined) return described(session, token);
    const body: HttpError & { login: SignInWays } = {
      error: {
        code: 'not_signed_in',
        message: 'Nobody is signed in here.',
        hint: 'Sign in: countersign console login --as PERSON prints an address to open.',
      },
      login: { passkey: false, oidc: null },
    };
    return reply.code(401).send(body);
  });

  app.delete('/api/session', { preHandler: guard(null) }, async (request, reply) => {
    const { id, person } = signedInOf(request);
    await identity.sessions.end(id, 'signed out', person);
    return reply
      .header('set-cookie', noSessionCookie(originOf(request, publicUrl)))
      .code(204)
      .send();
  });

  app.post('/api/session/one-time', async (request, reply) =>
    signIn(request, reply, async (replaces) => {
      const body = ONE_TIME.safeParse(request.body);
      if (!body.success) return 'malformed';
      return identity.codes.redeem(body.data.token, replaces);
    }),
  );

  /** What every way of signing in has in common. */
  async function signIn(
    request: FastifyRequest,
    reply: FastifyReply,
    how: (replaces: string | undefined) => Promise<SignedIn | 'malformed'>,
  ): Promise<FastifyReply> {
    const origin = originOf(request, publicUrl);
    if (!isPrivate(origin)) {
      return sendError(reply, 403, {
        code: 'not_private',
        message: 'A session’s cookie could be read on its way to here.',
        hint: 'Put TLS before this server and set listen.public.http to its https:// address, or come from this machine.',
      });
    }
    // Another site must not sign a browser in as somebody else either.
    if (!isOwnPage(request, origin)) {
      return sendError(reply, 403, {
        code: 'not_from_here',
        message: 'This sign-in does not come from a page of this server.',
        hint: `Open ${origin}/ and sign in there.`,
      });
    }
    const lockedMs = identity.limits.lockedFor(request.ip);
    if (lockedMs > 0) {
      const seconds = Math.ceil(lockedMs / 1000);
      return sendError(reply.header('retry-after', seconds), 429, {
        code: 'locked_out',
        message: 'Too many sign-ins have failed from this address.',
        hint: `Try again in ${seconds} seconds.`,
      });
    }
    const signedIn = await how(sessionToken(request.headers.cookie));
    if (signedIn === 'malformed' || 'refused' in signedIn) {
      identity.limits.failed(request.ip);
      if (signedIn !== 'malformed') return sendRefusal(reply, signedIn.refused);
      return sendError(reply, 400, {
        code: 'malformed_sign_in',
        message: 'The body is not what this way of signing in takes.',
        hint: 'Reload the page; docs/identity.md has the bodies.',
      });
    }
    identity.limits.succeeded(request.ip);
    const { token, session } = signedIn;
    return reply.header('set-cookie', sessionCookie(token, origin)).send(described(session, token));
  }
}

const ONE_TIME = z.strictObject({ token: z.string().regex(/^[\w-]{43}$/) });

function described({ id, since, ...session }: PersonSession, token: string) {
  return { ...session, session: id, since, csrf: csrfOf(token) };
}

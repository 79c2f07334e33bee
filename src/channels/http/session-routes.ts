import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import type { Identity } from '../../identity/identity.ts';
import { type HttpError, sendError } from './http-error.ts';
import { originOf } from './own-origin.ts';
import { type PersonGuard, signedInOf } from './person-session.ts';
import { noSessionCookie, sessionToken } from './session-cookie.ts';
import { describedSession, type SignInRoute } from './sign-in-route.ts';

/** How one can sign in, told to whoever isn't. */
interface SignInWays {
  readonly passkey: boolean;
  /** The address that leads to the provider. */
  readonly oidc: string | null;
}

/** `GET` and `DELETE /api/session`: who is signed in, and signing out. `POST /api/session/one-time`: a code of `countersign console login`. */
export function serveSessions(
  app: FastifyInstance,
  deps: {
    readonly identity: Identity;
    readonly guard: PersonGuard;
    readonly signIn: SignInRoute;
    readonly publicUrl: string | undefined;
  },
): void {
  const { identity, guard, signIn, publicUrl } = deps;

  app.get('/api/session', async (request, reply) => {
    const token = sessionToken(request.headers.cookie);
    const session = token === undefined ? undefined : await identity.sessions.byToken(token);
    if (token !== undefined && session !== undefined) return describedSession(session, token);
    const body: HttpError & { login: SignInWays } = {
      error: {
        code: 'not_signed_in',
        message: 'Nobody is signed in here.',
        hint: 'Sign in: countersign console login --as PERSON prints an address to open.',
      },
      login: {
        passkey: (await identity.passkeys.list()).some(({ confirmed }) => confirmed),
        oidc: identity.oidc.configured ? '/api/session/oidc' : null,
      },
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

  app.get('/api/sessions', { preHandler: guard('session.read') }, async () => ({
    sessions: (await identity.sessions.all()).map(({ id, rights: _rights, ...session }) => ({
      session: id,
      ...session,
    })),
  }));

  app.delete<{ Params: { id: string } }>(
    '/api/sessions/:id',
    { preHandler: guard('session.revoke') },
    async (request, reply) => {
      if (await identity.sessions.end(request.params.id, 'revoked', signedInOf(request).person))
        return reply.code(204).send();
      return sendError(reply, 404, {
        code: 'unknown_session',
        message: `There is no open session ${JSON.stringify(request.params.id.slice(0, 80))}.`,
        hint: 'GET /api/sessions lists those that are open.',
      });
    },
  );

  app.post('/api/session/one-time', async (request, reply) =>
    signIn(request, reply, async ({ replaces }) => {
      const body = ONE_TIME.safeParse(request.body);
      if (!body.success) return 'malformed';
      return identity.codes.redeem(body.data.token, replaces);
    }),
  );
}

const ONE_TIME = z.strictObject({ token: z.string().regex(/^[\w-]{43}$/) });

import type { FastifyInstance } from 'fastify';
import type { Identity } from '../../identity/identity.ts';
import { OIDC_CALLBACK } from '../../identity/oidc.ts';
import type { ClientAddress } from './client-address.ts';
import { sendError, sendRefusal } from './http-error.ts';
import { isPrivate, originOf } from './own-origin.ts';
import { sessionCookie, sessionToken, signInTicket, ticketCookie } from './session-cookie.ts';
import { NOT_PRIVATE, sendLockedOut } from './sign-in-route.ts';

/**
 * `GET /api/session/oidc` sends the browser to the provider (with `?again` so that it asks who is there), which sends it back to the callback. That comes from another
 * site, as it must: what shows that this browser began it is the ticket in a cookie, to which state, nonce and PKCE
 * verifier are bound.
 */
export function serveOidc(
  app: FastifyInstance,
  {
    identity,
    publicUrl,
    clientAddress,
  }: { readonly identity: Identity; readonly publicUrl: string | undefined; readonly clientAddress: ClientAddress },
): void {
  app.get<{ Querystring: { again?: string } }>('/api/session/oidc', async (request, reply) => {
    const origin = originOf(request, publicUrl);
    if (!isPrivate(origin)) return sendError(reply, 403, NOT_PRIVATE);
    const begun = await identity.oidc.begin(origin, request.query.again !== undefined);
    if ('refused' in begun) return sendRefusal(reply, begun.refused);
    return reply.header('set-cookie', ticketCookie(begun.ticket, origin)).redirect(begun.url, 303);
  });

  app.get(OIDC_CALLBACK, async (request, reply) => {
    const origin = originOf(request, publicUrl);
    if (!isPrivate(origin)) return sendError(reply, 403, NOT_PRIVATE);
    const lockedMs = identity.limits.lockedFor(clientAddress(request));
    if (lockedMs > 0) return sendLockedOut(reply, lockedMs);
    const ticket = signInTicket(request.headers.cookie);
    reply.header('set-cookie', ticketCookie('', origin));
    if (ticket === undefined) {
      identity.limits.failed(clientAddress(request));
      return sendError(reply, 403, {
        code: 'not_begun_here',
        message: 'This browser has begun no sign-in here.',
        hint: `Begin at ${origin}/ and sign in within five minutes.`,
      });
    }
    const callback = new URL(request.url, origin);
    const signedIn = await identity.oidc.finish(origin, callback, ticket, sessionToken(request.headers.cookie));
    if ('refused' in signedIn) {
      identity.limits.failed(clientAddress(request));
      return sendRefusal(reply, signedIn.refused);
    }
    identity.limits.succeeded(clientAddress(request));
    return reply.header('set-cookie', sessionCookie(signedIn.token, origin)).redirect('/', 303);
  });
}

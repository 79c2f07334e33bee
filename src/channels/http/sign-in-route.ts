import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Identity } from '../../identity/identity.ts';
import type { PersonSession } from '../../identity/person-sessions.ts';
import { csrfOf } from '../../identity/secret-token.ts';
import type { SignedIn } from '../../identity/sign-in-codes.ts';
import type { ClientAddress } from './client-address.ts';
import { type HttpError, sendError, sendRefusal } from './http-error.ts';
import { isOwnPage, isPrivate, originOf } from './own-origin.ts';
import { sessionCookie, sessionToken } from './session-cookie.ts';

/** What every way of signing in has in common: from where, how often, and what follows when it succeeds. */
export type SignInRoute = (
  request: FastifyRequest,
  reply: FastifyReply,
  how: (from: { readonly origin: string; readonly replaces: string | undefined }) => Promise<SignedIn | 'malformed'>,
) => Promise<FastifyReply>;

export function createSignInRoute({
  identity,
  publicUrl,
  clientAddress,
}: {
  readonly identity: Identity;
  readonly publicUrl: string | undefined;
  readonly clientAddress: ClientAddress;
}): SignInRoute {
  return async (request, reply, how) => {
    const origin = originOf(request, publicUrl);
    const refused = whyNot(request, origin);
    if (refused !== undefined) return sendError(reply, 403, refused);
    const lockedMs = identity.limits.lockedFor(clientAddress(request));
    if (lockedMs > 0) return sendLockedOut(reply, lockedMs);
    const signedIn = await how({ origin, replaces: sessionToken(request.headers.cookie) });
    if (signedIn === 'malformed' || 'refused' in signedIn) {
      identity.limits.failed(clientAddress(request));
      if (signedIn !== 'malformed') return sendRefusal(reply, signedIn.refused);
      return sendError(reply, 400, {
        code: 'malformed_sign_in',
        message: 'The body is not what this way of signing in takes.',
        hint: 'Reload the page; docs/identity.md has the bodies.',
      });
    }
    identity.limits.succeeded(clientAddress(request));
    const { token, session } = signedIn;
    return reply.header('set-cookie', sessionCookie(token, origin)).send(describedSession(session, token));
  };
}

/**
 * Why nobody may sign in by this request: a cookie could be read on its way, or another site would sign a browser in as
 * somebody else. (A value, and not an answer: awaiting a reply waits for it to be sent, and then yields nothing.)
 */
export function whyNot(request: FastifyRequest, origin: string): HttpError['error'] | undefined {
  if (!isPrivate(origin)) return NOT_PRIVATE;
  if (isOwnPage(request, origin)) return undefined;
  return {
    code: 'not_from_here',
    message: 'This sign-in does not come from a page of this server.',
    hint: `Open ${origin}/ and sign in there.`,
  };
}

export const NOT_PRIVATE: HttpError['error'] = {
  code: 'not_private',
  message: 'A session’s cookie could be read on its way to here.',
  hint: 'Put TLS before this server and set listen.public.http to its https:// address, or come from this machine.',
};

/** Answers who is locked out. */
export async function sendLockedOut(reply: FastifyReply, lockedMs: number): Promise<FastifyReply> {
  const seconds = Math.ceil(lockedMs / 1000);
  return sendError(reply.header('retry-after', seconds), 429, {
    code: 'locked_out',
    message: 'Too many sign-ins have failed from this address.',
    hint: `Try again in ${seconds} seconds.`,
  });
}

export function describedSession({ id, ...session }: PersonSession, token: string) {
  return { ...session, session: id, csrf: csrfOf(token) };
}

import type { IncomingHttpHeaders } from 'node:http';

export type Bearer =
  | { readonly bearer: 'none' }
  | { readonly bearer: 'token'; readonly token: string }
  | { readonly bearer: 'malformed' };

/** Reads the bearer token of a request (RFC 6750 §2.1); tokens in a query or a body are not looked at. */
export function bearerOf(headers: IncomingHttpHeaders): Bearer {
  const header = headers.authorization;
  if (header === undefined) return { bearer: 'none' };
  const token = B64TOKEN.exec(header)?.[1];
  return token === undefined ? { bearer: 'malformed' } : { bearer: 'token', token };
}

const B64TOKEN = /^Bearer +([A-Za-z0-9\-._~+/]{8,8192}=*)$/i;

/** The challenge of a 401 (RFC 6750 §3): no error code when no token came at all. */
export function challengeFor(bearer: Bearer): string {
  if (bearer.bearer === 'none') return 'Bearer realm="countersign"';
  return 'Bearer realm="countersign", error="invalid_token", error_description="unknown, expired or closed"';
}

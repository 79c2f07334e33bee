import type { FastifyRequest } from 'fastify';

/**
 * The origin of this server as the browser of this request sees it: the public URL where the request came by it,
 * otherwise HTTP, which is all that the gateway itself speaks. `Host` has been checked before (`origin-check.ts`).
 */
export function originOf(request: FastifyRequest, publicUrl: string | undefined): string {
  const { host } = request.headers;
  if (publicUrl !== undefined && new URL(publicUrl).host === host?.toLowerCase()) return new URL(publicUrl).origin;
  return `http://${host ?? ''}`;
}

/** Browsers say where a change comes from (Fetch Standard §3.2); scheme and port count too. */
export function isOwnPage(request: FastifyRequest, origin: string): boolean {
  return request.headers.origin === origin && (request.headers['sec-fetch-site'] ?? 'same-origin') === 'same-origin';
}

/** Whether what is sent can be read on the way: only TLS, or never leaving the machine, keeps a cookie to itself. */
export function isPrivate(origin: string): boolean {
  if (!URL.canParse(origin)) return false;
  const { protocol, hostname } = new URL(origin);
  return protocol === 'https:' || /^(localhost|127(\.\d+){3}|\[::1\])$/.test(hostname);
}

import type { FastifyInstance } from 'fastify';
import { sendError } from './http-error.ts';

/**
 * Refuses requests that were not meant for this server, against DNS rebinding: a web page that makes its own name
 * resolve to this machine still says its own name in `Host` (RFC 9112 §3.2) and in `Origin` (RFC 6454). There is no
 * CORS: no page of another origin may talk to the gateway at all.
 *
 * @param hostnames names and addresses under which this server is reached, IPv6 in brackets, without ports.
 */
export function checkOrigin(app: FastifyInstance, hostnames: readonly string[]): void {
  const known = new Set([...LOOPBACK, ...hostnames.map((name) => name.toLowerCase())]);
  app.addHook('onRequest', async (request, reply) => {
    const host = hostOf(`http://${request.headers.host ?? ''}`);
    if (host === undefined || !known.has(host.hostname)) {
      return sendError(reply, 403, {
        code: 'unknown_host',
        message: `This server is not known as ${quoted(request.headers.host)}.`,
        hint: `Use one of ${[...known].join(', ')}, or add the name to the hosts it listens for.`,
      });
    }
    const { origin } = request.headers;
    if (origin !== undefined && hostOf(origin)?.host !== host.host) {
      return sendError(reply, 403, {
        code: 'foreign_origin',
        message: `A page of the origin ${quoted(origin)} may not call this server.`,
        hint: 'Call it from a program, or from a page that this server itself has served.',
      });
    }
  });
}

const LOOPBACK = ['localhost', '127.0.0.1', '[::1]'] as const;

function hostOf(url: string): URL | undefined {
  if (!URL.canParse(url)) return undefined;
  const parsed = new URL(url);
  const plain = parsed.username === '' && parsed.password === '' && parsed.pathname === '/' && parsed.search === '';
  return plain && /^https?:$/.test(parsed.protocol) ? parsed : undefined;
}

function quoted(header: string | undefined): string {
  return header === undefined ? 'nothing' : JSON.stringify(header.slice(0, 100));
}

import { createHash, timingSafeEqual } from 'node:crypto';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { bearerOf, challengeFor } from './bearer.ts';
import { sendError } from './http-error.ts';

/** The figures of a gateway in a format that a collector reads. */
export interface MetricsPage {
  readonly contentType: string;
  text(): Promise<string>;
  /** What whoever asks must come with; without one only this machine may ask. Read anew each time: it may be changed. */
  token(): string | null;
}

/**
 * `GET /metrics`. The figures name targets and tell how busy they are, so they are not for everybody who reaches the
 * port: with a token configured only for who has it, otherwise only for this machine itself.
 */
export function serveMetrics(app: FastifyInstance, page: MetricsPage): void {
  app.get('/metrics', async (request, reply) => {
    const bearer = bearerOf(request.headers);
    const token = page.token();
    if (token === null ? isThisMachine(request) : bearer.bearer === 'token' && equal(bearer.token, token)) {
      return reply.header('content-type', page.contentType).send(await page.text());
    }
    if (token !== null) reply.header('www-authenticate', challengeFor(bearer));
    return sendError(reply, token === null ? 403 : 401, {
      code: token === null ? 'not_local' : 'unauthenticated',
      message: 'The metrics of this gateway are not for everybody who reaches it.',
      hint:
        token === null
          ? 'Ask from the same machine, or set metrics.token in the configuration and send it as `Authorization: Bearer …`.'
          : 'Send the token that metrics.token refers to as `Authorization: Bearer …`.',
    });
  });
}

/** Behind a proxy every request comes from this machine: one that says it was forwarded doesn't. */
function isThisMachine({ socket, headers }: FastifyRequest): boolean {
  if (FORWARDED.some((name) => headers[name] !== undefined)) return false;
  const address = (socket.remoteAddress ?? '').replace(/^::ffff:/, '');
  return address === '::1' || /^127\./.test(address);
}

const FORWARDED = ['forwarded', 'x-forwarded-for', 'x-real-ip', 'via'] as const;

function equal(given: string, expected: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(given), digest(expected));
}

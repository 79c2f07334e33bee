import type { FastifyInstance } from 'fastify';

/** What the gateway needs to serve, and what of it is missing, said for whoever asks. */
export type Needs = () => Promise<readonly { readonly part: string; readonly missing: string | null }[]>;

/** `GET /healthz`: the process answers. `GET /readyz`: it can serve, or 503 with the reasons. Neither needs a token. */
export function serveHealth(app: FastifyInstance, version: string, needs: Needs): void {
  app.get('/healthz', async () => ({ healthy: true, version }));
  app.get('/readyz', async (_request, reply) => {
    const reasons = (await needs()).flatMap(({ part, missing }) => (missing === null ? [] : [`${part}: ${missing}`]));
    return reply.code(reasons.length === 0 ? 200 : 503).send({ ready: reasons.length === 0, reasons });
  });
}

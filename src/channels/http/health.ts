import type { FastifyInstance } from 'fastify';

/** What keeps the gateway from serving, said for people; empty when nothing does. */
export type Readiness = () => Promise<readonly string[]>;

/** `GET /healthz`: the process answers. `GET /readyz`: it can serve, or 503 with the reasons. Neither needs a token. */
export function serveHealth(app: FastifyInstance, version: string, readiness: Readiness): void {
  app.get('/healthz', async () => ({ healthy: true, version }));
  app.get('/readyz', async (_request, reply) => {
    const reasons = await readiness();
    return reply.code(reasons.length === 0 ? 200 : 503).send({ ready: reasons.length === 0, reasons });
  });
}

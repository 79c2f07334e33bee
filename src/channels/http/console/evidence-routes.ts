import { Readable } from 'node:stream';
import type { FastifyInstance } from 'fastify';
import type { Logger } from 'pino';
import { z } from 'zod';
import type { Evidence } from '../../../pipeline/oversight/evidence.ts';
import { EXPORT_FORMATS, exportActivity } from '../../../pipeline/oversight/export-activity.ts';
import type { Oversight } from '../../../pipeline/oversight/oversight.ts';
import { type PersonGuard, signedInOf } from '../person-session.ts';
import { createDownloads } from './download.ts';
import { answeredQuery } from './query.ts';
import { ACTIVITY_FILTER } from './read-routes.ts';

const EXPORT = z.strictObject({
  ...ACTIVITY_FILTER,
  format: z.enum(EXPORT_FORMATS).default('jsonl'),
  limit: z.coerce.number().int().min(1).optional(),
});
const NAMED = /^(?:(?:sha256:)?[0-9a-f]{8,64}|(?:intent|task)_[0-9a-f]{1,64})$/;
const JSON_LINES = 'application/jsonl; charset=utf-8';
const CSV = 'text/csv; charset=utf-8; header=present';

/**
 * What people take away to judge elsewhere, and whether the ledger was found to be what was signed. Nothing of it
 * changes anything, so that an auditor may do all of it; who took what is logged.
 */
export function serveEvidence(
  app: FastifyInstance,
  deps: {
    readonly oversight: Oversight;
    readonly evidence: Evidence;
    readonly guard: PersonGuard;
    readonly log: Logger;
  },
): void {
  const { oversight, evidence, log } = deps;
  const downloads = createDownloads({
    onFailure: (error) => log.warn({ err: error }, 'a file broke off while it was handed out'),
  });
  // A HEAD would read all of it for nothing.
  const options = { preHandler: deps.guard('ledger.read'), exposeHeadRoute: false };
  const preHandler = deps.guard('ledger.read');
  const handedOut = (request: Parameters<typeof signedInOf>[0], file: string, more: object = {}) =>
    log.info({ person: signedInOf(request).person, file, ...more }, 'evidence was handed out');

  app.get('/api/activity/export', options, (request, reply) =>
    answeredQuery(reply, EXPORT, request.query, ({ format, ...filter }) =>
      downloads.send(reply, async () => {
        const at = new Date().toISOString();
        const name = `activity-${at.slice(0, 19).replaceAll(':', '')}Z.${format}`;
        handedOut(request, name, { filter });
        const lines = exportActivity(oversight.activity, filter, { format, at });
        return { name, type: format === 'csv' ? CSV : JSON_LINES, lines };
      }),
    ),
  );

  app.get<{ Params: { id: string } }>('/api/ledger/proofs/:id', options, (request, reply) =>
    downloads.send(reply, async () => {
      const { id } = request.params;
      if (!NAMED.test(id)) {
        const message = `${JSON.stringify(id.slice(0, 80))} names no plan, write or task.`;
        return { refused: { refused: 'denied', message, hint: 'Activity lists them.' } as const };
      }
      const proof = await evidence.proof(id);
      if ('refused' in proof) return proof;
      handedOut(request, proof.name);
      return { name: proof.name, type: JSON_LINES, lines: Readable.from([proof.text]) };
    }),
  );

  app.get('/api/ledger/archive', options, (request, reply) =>
    downloads.send(reply, async () => {
      const { name, lines } = await evidence.archive();
      handedOut(request, name);
      return { name, type: JSON_LINES, lines };
    }),
  );

  app.get('/api/ledger', { preHandler }, () => evidence.standing());

  app.post('/api/ledger/verification', { preHandler }, () => {
    evidence.verify();
    return evidence.standing();
  });
}

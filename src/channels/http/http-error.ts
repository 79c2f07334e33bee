import type { FastifyReply } from 'fastify';
import type { Refusal, RefusalCode } from '../../domain/refusal.ts';
import { SQLSTATES } from '../../domain/refusal.ts';

/** The one shape of every error this server answers with: `{ "error": { code, message, hint } }`. */
export interface HttpError {
  readonly error: { readonly code: string; readonly message: string; readonly hint: string; readonly detail?: string };
}

/** Answers with an error. */
export async function sendError(reply: FastifyReply, status: number, error: HttpError['error']): Promise<FastifyReply> {
  return reply.code(status).send({ error } satisfies HttpError);
}

/** Answers with a refusal of the pipeline; its SQLSTATE is the code, as on every other channel. */
export async function sendRefusal(reply: FastifyReply, refusal: Refusal): Promise<FastifyReply> {
  return sendError(reply, STATUS[refusal.refused], {
    code: SQLSTATES[refusal.refused],
    message: refusal.message,
    hint: refusal.hint,
    ...(refusal.detail === undefined ? {} : { detail: refusal.detail }),
  });
}

const STATUS: Readonly<Record<RefusalCode, number>> = {
  held: 409,
  denied: 403,
  stale: 409,
  halted: 423,
  overLimit: 422,
  identityMismatch: 409,
  unavailable: 503,
  unsupported: 422,
};

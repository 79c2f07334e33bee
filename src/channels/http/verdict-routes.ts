import type { FastifyInstance, FastifyReply } from 'fastify';
import { z } from 'zod';
import type { Identity } from '../../identity/identity.ts';
import type { Gateway } from '../../pipeline/gateway.ts';
import { sendError, sendRefusal } from './http-error.ts';
import { originOf } from './own-origin.ts';
import { type PersonGuard, signedInOf } from './person-session.ts';
import { ASSERTION, assertionOf } from './webauthn-bodies.ts';

/**
 * `POST /api/plans/:id/verdict/options`: the statement that a verdict is, and what to ask the authenticator for.
 * `POST /api/plans/:id/verdict`: what it signed. The session lets somebody ask; what counts is the signature (G4).
 */
export function serveVerdicts(
  app: FastifyInstance,
  deps: {
    readonly identity: Identity;
    readonly gateway: Gateway;
    readonly guard: PersonGuard;
    readonly publicUrl: string | undefined;
  },
): void {
  const { identity, gateway, publicUrl } = deps;
  const preHandler = deps.guard('plan.decide');

  app.post<{ Params: { id: string } }>('/api/plans/:id/verdict/options', { preHandler }, async (request, reply) => {
    const body = ASKED.safeParse(request.body);
    if (!body.success) return malformed(reply, body.error, 'Send verdict (approve or reject) and reason.');
    const plan = await gateway.plan(request.params.id);
    if (plan === undefined) {
      return sendError(reply, 404, {
        code: 'unknown_plan',
        message: `There is no plan ${JSON.stringify(request.params.id.slice(0, 80))}.`,
        hint: 'Name it by its whole id.',
      });
    }
    const { person } = signedInOf(request);
    const asked = await identity.verdicts.ask({ plan, person, origin: originOf(request, publicUrl), ...body.data });
    return 'refused' in asked ? sendRefusal(reply, asked.refused) : asked;
  });

  app.post<{ Params: { id: string } }>('/api/plans/:id/verdict', { preHandler }, async (request, reply) => {
    const body = SIGNED.safeParse(request.body);
    if (!body.success) {
      const hint = 'Send payload as it came with the options, and as assertion what the authenticator answered.';
      return malformed(reply, body.error, hint);
    }
    const session = signedInOf(request);
    const received = await identity.verdicts.receive({
      plan: request.params.id,
      person: session.person,
      payload: body.data.payload,
      assertion: assertionOf(body.data.assertion),
    });
    if ('refused' in received) return sendRefusal(reply, received.refused);
    await identity.sessions.steppedUp(session);
    return { plan: received.plan };
  });
}

const ASKED = z.strictObject({ verdict: z.enum(['approve', 'reject']), reason: z.string().max(4000).default('') });
const SIGNED = z.strictObject({ payload: z.base64().max(16_384), assertion: ASSERTION });

async function malformed(reply: FastifyReply, error: z.ZodError, hint: string): Promise<FastifyReply> {
  return sendError(reply, 400, {
    code: 'malformed_verdict',
    message: `The body is no verdict: ${z.prettifyError(error)}`,
    hint,
  });
}

import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Tier } from '../../domain/environment.ts';
import type { SteppedUpAct } from '../../domain/step-up.ts';
import type { Identity } from '../../identity/identity.ts';
import { sendError, sendRefusal } from './http-error.ts';
import { originOf } from './own-origin.ts';
import { type PersonGuard, signedInOf } from './person-session.ts';
import { ASSERTION, assertionOf } from './webauthn-bodies.ts';

/**
 * Answers 403 `step_up_needed` where the person must first show who they are; `undefined` where the act may go on.
 *
 * @param tier where it would be done.
 */
export type NeedsStepUp = (
  request: FastifyRequest,
  reply: FastifyReply,
  act: SteppedUpAct,
  tier?: Tier,
) => FastifyReply | undefined;

export function createNeedsStepUp({ stepUp }: Pick<Identity, 'stepUp'>): NeedsStepUp {
  return (request, reply, act, tier) => {
    const missing = stepUp.missing(signedInOf(request), act, tier);
    return missing === undefined ? undefined : reply.code(403).send({ error: { code: 'step_up_needed', ...missing } });
  };
}

/** `POST /api/session/step-up/options`, then `POST /api/session/step-up`: a passkey shows within a session who is there. */
export function serveStepUp(
  app: FastifyInstance,
  deps: { readonly identity: Identity; readonly guard: PersonGuard; readonly publicUrl: string | undefined },
): void {
  const { guard, publicUrl } = deps;
  const { stepUp } = deps.identity;

  app.post('/api/session/step-up/options', { preHandler: guard(null) }, async (request, reply) => {
    const asked = stepUp.ask(signedInOf(request), originOf(request, publicUrl));
    return 'refused' in asked ? sendRefusal(reply, asked.refused) : asked;
  });

  app.post('/api/session/step-up', { preHandler: guard(null) }, async (request, reply) => {
    const body = ASSERTION.safeParse(request.body);
    if (!body.success)
      return sendError(reply, 400, {
        code: 'malformed_assertion',
        message: 'The body is not what an authenticator answers.',
        hint: 'Send what navigator.credentials.get gave, as its toJSON() writes it.',
      });
    const { data } = body;
    const shown = await stepUp.receive(signedInOf(request), originOf(request, publicUrl), assertionOf(data));
    return 'refused' in shown ? sendRefusal(reply, shown.refused) : shown;
  });
}

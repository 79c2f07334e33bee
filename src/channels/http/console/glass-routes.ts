import type { FastifyInstance, FastifyReply } from 'fastify';
import { z } from 'zod';
import type { Identity } from '../../../identity/identity.ts';
import type { PasskeyGlass } from '../../../identity/passkey-glass.ts';
import type { Gateway, PlanView } from '../../../pipeline/gateway.ts';
import { sendError, sendRefusal } from '../http-error.ts';
import { originOf } from '../own-origin.ts';
import { type PersonGuard, signedInOf } from '../person-session.ts';
import { ASSERTION, assertionOf } from '../webauthn-bodies.ts';
import { answeredQuery } from './query.ts';

const reason = z.string().trim().min(3, 'say why in a few words').max(4000);
const BREAK = z.strictObject({ reason, standsInFor: z.array(z.string().max(40)).min(1).max(10) });
const REVIEW = z.strictObject({ reason });
const SIGNED = z.strictObject({ payload: z.base64().max(16_384), assertion: ASSERTION });
const LISTED = z.strictObject({ unreviewed: z.enum(['true', 'false']).default('false') });

/**
 * Acting alone on a plan, and looking at it afterwards. A session lets somebody ask for what to sign; what counts is what
 * their device signed (G4), verified by the same parts as that of a key.
 */
export function serveGlass(
  app: FastifyInstance,
  deps: {
    readonly glass: PasskeyGlass;
    readonly gateway: Pick<Gateway, 'plan'>;
    readonly identity: Pick<Identity, 'sessions'>;
    readonly guard: PersonGuard;
    readonly publicUrl: string | undefined;
  },
): void {
  const { glass, gateway, identity, publicUrl } = deps;
  const may = (right: Parameters<PersonGuard>[0]) => ({ preHandler: deps.guard(right) });

  app.get<{ Params: { id: string } }>('/api/plans/:id/break-glass', may('glass.break'), (request, reply) =>
    withPlan(reply, request.params.id, async (plan) => {
      const missing = await glass.missing(plan, signedInOf(request).person);
      return 'refused' in missing ? sendRefusal(reply, missing.refused) : { missing };
    }),
  );

  app.post<{ Params: { id: string } }>('/api/plans/:id/break-glass/options', may('glass.break'), (request, reply) =>
    answeredQuery(reply, BREAK, request.body, (asked) =>
      withPlan(reply, request.params.id, async (plan) => {
        const { person } = signedInOf(request);
        const options = await glass.ask({ plan, person, origin: originOf(request, publicUrl), ...asked });
        return 'refused' in options ? sendRefusal(reply, options.refused) : options;
      }),
    ),
  );

  app.post<{ Params: { id: string } }>('/api/plans/:id/break-glass', may('glass.break'), (request, reply) =>
    answeredQuery(reply, SIGNED, request.body, ({ payload, assertion }) =>
      withPlan(reply, request.params.id, async ({ id }) => {
        const session = signedInOf(request);
        const signed = { person: session.person, payload, assertion: assertionOf(assertion) };
        const broken = await glass.receive(id, signed);
        if ('refused' in broken) return sendRefusal(reply, broken.refused);
        await identity.sessions.steppedUp(session);
        return broken;
      }),
    ),
  );

  app.get('/api/incidents', may('ledger.read'), (request, reply) =>
    answeredQuery(reply, LISTED, request.query, async ({ unreviewed }) => ({
      incidents: await glass.incidents.list(unreviewed === 'true' ? { unreviewed: true } : {}),
    })),
  );

  app.post<{ Params: { id: string } }>('/api/incidents/:id/review/options', may('incident.review'), (request, reply) =>
    answeredQuery(reply, REVIEW, request.body, async (asked) => {
      const { person } = signedInOf(request);
      const incident = request.params.id;
      const options = await glass.askToReview({ incident, person, origin: originOf(request, publicUrl), ...asked });
      return 'refused' in options ? sendRefusal(reply, options.refused) : options;
    }),
  );

  app.post<{ Params: { id: string } }>('/api/incidents/:id/review', may('incident.review'), (request, reply) =>
    answeredQuery(reply, SIGNED, request.body, async ({ payload, assertion }) => {
      const session = signedInOf(request);
      const signed = { person: session.person, payload, assertion: assertionOf(assertion) };
      const reviewed = await glass.review(request.params.id, signed);
      if ('refused' in reviewed) return sendRefusal(reply, reviewed.refused);
      await identity.sessions.steppedUp(session);
      return reviewed;
    }),
  );

  async function withPlan<Answer>(
    reply: FastifyReply,
    id: string,
    answer: (plan: PlanView) => Promise<Answer>,
  ): Promise<Answer | FastifyReply> {
    const plan = await gateway.plan(id);
    if (plan !== undefined) return answer(plan);
    return sendError(reply, 404, {
      code: 'unknown_plan',
      message: `There is no plan ${JSON.stringify(id.slice(0, 80))}.`,
      hint: 'Name it by its whole id.',
    });
  }
}

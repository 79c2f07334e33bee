import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import type { ApprovalEnvelope } from '../../domain/approval.ts';
import type { Gateway, PlanView, Refused } from '../../pipeline/gateway.ts';
import { bearerOf, challengeFor } from './bearer.ts';
import { sendError, sendRefusal } from './http-error.ts';

/** Checks a signed approval and records it. The signature is the authentication. */
export type ReceiveApproval = (
  envelope: ApprovalEnvelope,
) => Promise<{ readonly ok: true; readonly plan: PlanView } | Refused>;

/**
 * `GET /v1/plans/:id` for the task that the plan is of, and `POST /v1/plans/:id/approvals` for people. An approval is
 * what its signature says and nothing else: whoever comes with a bearer token is turned away, because tokens are what
 * agents have (G4).
 */
export function servePlans(app: FastifyInstance, gateway: Gateway, receiveApproval: ReceiveApproval): void {
  app.get<{ Params: { id: string } }>('/v1/plans/:id', async (request, reply) => {
    const bearer = bearerOf(request.headers);
    const task = bearer.bearer === 'token' ? await gateway.taskByToken(bearer.token) : undefined;
    if (task === undefined) {
      return sendError(reply.header('www-authenticate', challengeFor(bearer)), 401, {
        code: 'unauthenticated',
        message: 'A plan is shown to the task that it is of, and this request comes with no token of an open task.',
        hint: 'Send the task’s token as `Authorization: Bearer …`; a person uses `countersign plan show`.',
      });
    }
    const plan = await gateway.plan(request.params.id);
    if (plan === undefined || plan.plan.task !== task.id) {
      return sendError(reply, 404, {
        code: 'unknown_plan',
        message: `Task ${task.id} has no plan ${JSON.stringify(request.params.id.slice(0, 80))}.`,
        hint: 'The answer that held the statement names the plan by its whole id.',
      });
    }
    return { plan };
  });

  app.post<{ Params: { id: string } }>('/v1/plans/:id/approvals', async (request, reply) => {
    if (bearerOf(request.headers).bearer !== 'none') {
      return sendError(reply, 403, {
        code: 'token_cannot_approve',
        message: 'No token can approve a plan: tokens are what agents have, and only a signature approves.',
        hint: 'A person signs the plan with their own key: `countersign plan approve`. Send the envelope without Authorization.',
      });
    }
    const envelope = ENVELOPE.safeParse(request.body);
    if (!envelope.success || planNamedIn(envelope.data) !== request.params.id) {
      return sendError(reply, 400, {
        code: 'malformed_approval',
        message: envelope.success
          ? 'The approval is not one of the plan in the address.'
          : `The body is not a signed approval: ${z.prettifyError(envelope.error)}`,
        hint: 'Send the DSSE envelope that `countersign plan approve` makes, to the plan that it names.',
      });
    }
    const received = await receiveApproval(envelope.data);
    return 'refused' in received ? sendRefusal(reply, received.refused) : { plan: received.plan };
  });
}

const BASE64 = z
  .string()
  .regex(/^[A-Za-z0-9+/]+={0,2}$/)
  .max(16_384);

/** The shape alone; `receiveApproval` verifies what it says and who signed it. */
const ENVELOPE = z.strictObject({
  payloadType: z.enum(['application/vnd.countersign.approval+json', 'application/vnd.countersign.agent-approval+json']),
  payload: BASE64,
  signatures: z
    .array(
      z.strictObject({
        keyid: z.string().max(256),
        sig: BASE64,
        webauthn: z
          .strictObject({ credential: z.string().max(2048), authenticatorData: BASE64, clientData: BASE64 })
          .exactOptional(),
      }),
    )
    .length(1),
});

const NAMES_PLAN = z.object({ plan: z.string() });

function planNamedIn(envelope: ApprovalEnvelope): string | undefined {
  try {
    return NAMES_PLAN.safeParse(JSON.parse(Buffer.from(envelope.payload, 'base64').toString('utf8'))).data?.plan;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

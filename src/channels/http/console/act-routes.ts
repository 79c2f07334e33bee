import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { asId, type TaskId } from '../../../domain/ids.ts';
import type { Oversight } from '../../../pipeline/oversight/oversight.ts';
import { sendError, sendRefusal } from '../http-error.ts';
import { type PersonGuard, signedInOf } from '../person-session.ts';
import type { NeedsStepUp } from '../step-up-routes.ts';
import { answeredQuery } from './query.ts';

const reason = z.string().trim().min(3, 'say why in a few words').max(500);
const id = z.string().min(1).max(200);
const HALT = z.union([
  z.strictObject({ scope: z.literal('global'), reason }),
  z.strictObject({ scope: z.enum(['agent', 'task', 'target']), id, reason }),
]);
const UNDO = z.strictObject({ keepNewer: z.boolean().default(false) });

/**
 * What people do in the console besides countersigning (some of it only after they showed anew who they are): stop and let go, close a task, have an approved plan applied, ask
 * for a change to be taken back. Each is done by the same part of the pipeline as the command of that name.
 */
export function serveActions(
  app: FastifyInstance,
  oversight: Oversight,
  { guard, needsStepUp }: { readonly guard: PersonGuard; readonly needsStepUp: NeedsStepUp },
): void {
  const may = (right: Parameters<PersonGuard>[0]) => ({ preHandler: guard(right) });

  app.post('/api/halts', may('halt.set'), (request, reply) =>
    answeredQuery(reply, HALT, request.body, async ({ reason: why, ...scope }) => {
      const halt = await oversight.halt(scope, why, signedInOf(request).person);
      return 'refused' in halt ? sendRefusal(reply, halt.refused) : { halt };
    }),
  );

  app.post('/api/halts/resume', may('halt.set'), (request, reply) =>
    answeredQuery(reply, HALT, request.body, async ({ reason: why, ...scope }) => {
      const shown = needsStepUp(request, reply, 'halt.resume');
      if (shown !== undefined) return shown;
      const resumed = await oversight.resume(scope, why, signedInOf(request).person);
      return 'refused' in resumed ? sendRefusal(reply, resumed.refused) : { resumed };
    }),
  );

  app.post<{ Params: { id: string } }>('/api/tasks/:id/close', may('task.close'), async (request, reply) => {
    const closed = await oversight.closeTask(asId<TaskId>(request.params.id), signedInOf(request).person);
    return 'refused' in closed ? sendRefusal(reply, closed.refused) : { task: closed };
  });

  app.post<{ Params: { id: string } }>('/api/plans/:id/apply', may('plan.apply'), async (request, reply) => {
    const found = await oversight.plan(request.params.id);
    if (typeof found === 'string') return sendError(reply, 404, UNKNOWN);
    const shown = needsStepUp(request, reply, 'plan.apply', found.view.plan.tier);
    if (shown !== undefined) return shown;
    const applied = await oversight.apply(found.view.id, signedInOf(request).person);
    return applied.reply === 'refused' ? sendRefusal(reply, applied.refusal) : { state: applied.plan.state };
  });

  app.post<{ Params: { id: string } }>('/api/plans/:id/undo', may('change.undo'), (request, reply) =>
    answeredQuery(reply, UNDO, request.body ?? {}, async ({ keepNewer }) => {
      const found = await oversight.plan(request.params.id);
      if (typeof found === 'string') return sendError(reply, 404, UNKNOWN);
      const shown = needsStepUp(request, reply, 'change.undo', found.view.plan.tier);
      if (shown !== undefined) return shown;
      const made = await oversight.undo(found.view.id, signedInOf(request).person, keepNewer);
      return 'refused' in made ? sendRefusal(reply, made.refused) : { plan: made.plan.id };
    }),
  );
}

const UNKNOWN = {
  code: 'unknown_plan',
  message: 'There is no such plan here.',
  hint: 'The queue lists those that wait, and those that have ended.',
};

import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import type { Oversight } from '../../../pipeline/oversight/oversight.ts';
import { sendError } from '../http-error.ts';
import { type PersonGuard, signedInOf } from '../person-session.ts';
import { answeredQuery } from './query.ts';

const MAX_PAGE = 200;
const limit = z.coerce.number().int().min(1).max(MAX_PAGE).default(50);
const cursor = z.string().max(200).optional();
const named = z.string().min(1).max(200).optional();
const instant = z.iso.datetime({ offset: true }).optional();

const PLANS = z.strictObject({ state: z.enum(['open', 'ended']).default('open'), limit, cursor, text: named });
const TASKS = z.strictObject({ limit, cursor });
/** What Activity can be asked for, as a page and as a file. */
export const ACTIVITY_FILTER = {
  before: z.coerce.number().int().nonnegative().optional(),
  actor: named,
  task: named,
  target: named,
  table: named,
  kind: named,
  decision: named,
  from: instant,
  until: instant,
  text: z.string().min(2).max(200).optional(),
} as const;
const ACTIVITY = z.strictObject({ limit, ...ACTIVITY_FILTER });

/** What the console reads: plans, the ledger, tasks, actors, targets, halts. All of it bounded, by pages. */
export function serveOversight(app: FastifyInstance, oversight: Oversight, guard: PersonGuard): void {
  const may = (right: Parameters<PersonGuard>[0]) => ({ preHandler: guard(right) });

  app.get('/api/plans', may('plan.read'), (request, reply) =>
    answeredQuery(reply, PLANS, request.query, ({ state, ...page }) => oversight.queue[state](page)),
  );

  app.get<{ Params: { id: string } }>('/api/plans/:id', may('plan.read'), async (request, reply) => {
    const found = await oversight.plan(request.params.id);
    if (typeof found !== 'string') {
      const { person, via } = signedInOf(request);
      // What a program reads nobody has seen.
      if (via !== 'token') await oversight.saw(found.view.id, person);
      return { plan: found };
    }
    return sendError(reply, 404, {
      code: 'unknown_plan',
      message:
        found === 'several' ? 'Several plans begin so.' : `There is no plan ${request.params.id.slice(0, 80)} here.`,
      hint: found === 'several' ? 'Give more digits of its id.' : 'The queue lists those that wait.',
    });
  });

  app.get('/api/activity', may('ledger.read'), (request, reply) =>
    answeredQuery(reply, ACTIVITY, request.query, (filter) => oversight.activity.page(filter)),
  );

  app.get('/api/tasks', may('task.read'), (request, reply) =>
    answeredQuery(reply, TASKS, request.query, (page) => oversight.tasks(page)),
  );

  app.get<{ Params: { id: string } }>('/api/tasks/:id', may('task.read'), async (request, reply) => {
    const task = await oversight.task(request.params.id);
    return task === undefined
      ? sendError(reply, 404, {
          code: 'unknown_task',
          message: `There is no task ${request.params.id.slice(0, 80)} here.`,
          hint: 'The list of tasks has those that were opened on this state.',
        })
      : { task };
  });

  app.get('/api/actors', may('task.read'), async (request) => ({
    actors: oversight.actors(),
    // What people did is for those to see who may read the ledger.
    ...(signedInOf(request).rights.includes('ledger.read')
      ? { decisions: await oversight.decisions(), agentDecisions: await oversight.agentDecisions() }
      : { decisions: [], agentDecisions: [] }),
  }));
  app.get('/api/targets', may('target.read'), async () => ({ targets: oversight.targets() }));
  app.get('/api/breakers', may('halt.read'), async () => ({ breakers: await oversight.breakers() }));
  app.get('/api/halts', may('halt.read'), async () => ({ halts: oversight.halts() }));
}

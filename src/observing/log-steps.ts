import { SQLSTATES } from '../domain/refusal.ts';
import { type Observer, UNOBSERVED } from '../pipeline/observer.ts';
import type { Outcome } from '../pipeline/outcome.ts';
import type { Log } from '../pipeline/proof.ts';

/** A line for whatever doesn't simply flow through, and for every change: with the ids under which the ledger tells more. */
export function logSteps(log: Log): Observer {
  return {
    ...UNOBSERVED,
    session({ session, steps }, target) {
      const ids = { task: session.task.id, agent: session.task.agent, target, channel: session.channel };
      log.info(ids, 'a session was opened');
      const { close } = session;
      let open = true;
      session.close = async () => {
        await close();
        if (open) log.info(ids, 'a session was closed');
        open = false;
      };
      return {
        session,
        steps: {
          ...steps,
          async deny(actor, statement, judgement) {
            const refusal = await steps.deny(actor, statement, judgement);
            const policies =
              judgement.verdict === 'deny' ? judgement.decision.policies.map(({ policy }) => policy) : [];
            const { command } = judgement.analysis;
            log.warn({ ...ids, command, code: SQLSTATES[refusal.refused], policies }, 'a statement was denied');
            return refusal;
          },
        },
      };
    },
    holding: (hold, target) => async (request) => {
      const outcome = await hold(request);
      const ids = { task: request.task.id, agent: request.task.agent, target, channel: request.channel };
      log.info({ ...ids, ...toldOf(outcome) }, HELD[outcome.outcome]);
      return outcome;
    },
    committing: (commitWrites, target) => async (request) => {
      const outcome = await commitWrites(request);
      const ids = { task: request.task.id, agent: request.task.agent, target, channel: request.channel };
      const tables = outcome.outcome === 'done' ? (outcome.tables ?? []) : [];
      if (tables.length > 0) log.info({ ...ids, change: request.intent, tables: [...tables] }, 'a write was committed');
      else if (outcome.outcome !== 'done') {
        log.info({ ...ids, change: request.intent, ...toldOf(outcome) }, 'a write was rolled back');
      }
      return outcome;
    },
    approving: (receive) => async (envelope) => {
      const received = await receive(envelope);
      if ('refused' in received) log.warn({ code: SQLSTATES[received.refused.refused] }, 'a verdict did not count');
      else {
        const { id, plan, state } = received.plan;
        const byAgent = envelope.payloadType === 'application/vnd.countersign.agent-approval+json';
        const who = byAgent ? 'an approval agent approved a plan' : 'a person decided on a plan';
        log.info({ plan: id, task: plan.task, target: plan.target, state }, who);
      }
      return received;
    },
    applying: (apply) => async (id, by) => {
      const reply = await apply(id, by);
      const ids = { plan: id, task: reply.plan?.plan.task, target: reply.plan?.plan.target, state: reply.plan?.state };
      if (reply.reply === 'applied') log.info({ ...ids, change: id, already: reply.already }, 'a plan was applied');
      else log.warn({ ...ids, code: SQLSTATES[reply.refusal.refused] }, 'a plan was not applied');
      return reply;
    },
  };
}

const HELD: Readonly<Record<Outcome['outcome'], string>> = {
  refused: 'a statement was held',
  failed: 'a statement could not be planned: the database refuses it',
  applied: 'an approved plan was applied in place of the statement',
  gathered: 'a change was tried, and kept for the end of its transaction',
  done: 'a statement was carried out',
};

function toldOf(outcome: Outcome): object {
  switch (outcome.outcome) {
    case 'refused':
      return { code: SQLSTATES[outcome.refusal.refused], plan: outcome.refusal.plan };
    case 'failed':
      return { code: outcome.failure.sqlstate };
    case 'applied':
    case 'gathered':
    case 'done':
      return { outcome: outcome.outcome };
    default:
      return outcome satisfies never;
  }
}

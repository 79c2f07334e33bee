import { type Attributes, SpanKind, SpanStatusCode, type Tracer } from '@opentelemetry/api';
import type { Analysis } from '../domain/effect.ts';
import { objectName } from '../domain/object.ts';
import { type Refusal, SQLSTATES } from '../domain/refusal.ts';
import type { Judgement } from '../pipeline/judge.ts';
import { type Observer, type OpenedSession, UNOBSERVED } from '../pipeline/observer.ts';
import type { Outcome } from '../pipeline/outcome.ts';
import { type Batch, step, withinBatch } from './spans.ts';
import { contextOf, traceparentInComment } from './trace-context.ts';

/**
 * Spans from an intent to its outcome: intent → analyse → decide → execute → measure → prove, or hold → dry run → prove,
 * later approve, and apply → execute → prove. Statements stand there by their summary; their text, values and rows don't.
 */
export function traceSteps(tracer: Tracer): Observer {
  return {
    ...UNOBSERVED,
    analysing: (analyse) => (text, catalogue, searchPath, prepared) =>
      step(tracer, 'analyse', {}, () => analyse(text, catalogue, searchPath, prepared)),
    deciding: (decide) => (standing, effects, extent) =>
      step(tracer, 'decide', { 'countersign.effects': effects.length }, (span) => {
        const decided = decide(standing, effects, extent);
        span.setAttribute('countersign.decision', decided.decision);
        span.setAttribute(
          'countersign.policies',
          decided.policies.map(({ policy }) => policy),
        );
        return decided;
      }),
    engine: (engine) => ({
      ...engine,
      measure: (request) =>
        step(tracer, 'dry run', { ...DB, 'countersign.target': engine.target.id }, async (span) => {
          const measured = await engine.measure(request);
          span.setAttribute('countersign.measured', measured.measurement.measured);
          return measured;
        }),
      apply: (request) =>
        step(
          tracer,
          'execute',
          { ...DB, 'countersign.target': engine.target.id, 'countersign.plan.id': request.plan },
          async (span) => {
            const applied = await engine.apply(request);
            span.setAttribute('countersign.outcome', applied.outcome);
            return applied;
          },
        ),
    }),
    holding: (hold, target) => (request) =>
      step(tracer, 'hold', { 'countersign.target': target, 'countersign.task.id': request.task.id }, async (span) => {
        const outcome = await hold(request);
        span.setAttributes(outcomeAttributes(outcome));
        return outcome;
      }),
    committing: (commitWrites, target) => (request) =>
      step(
        tracer,
        'measure',
        {
          'countersign.target': target,
          'countersign.task.id': request.task.id,
          'countersign.change.id': request.intent,
        },
        async (span) => {
          const outcome = await commitWrites(request);
          span.setAttributes(outcomeAttributes(outcome));
          return outcome;
        },
      ),
    proving: (proof) => ({
      ...proof,
      record: (fact) =>
        step(tracer, 'prove', { 'countersign.entry.kind': fact.kind, 'countersign.entry.subject': fact.subject }, () =>
          proof.record(fact),
        ),
    }),
    approving: (receive) => (envelope) =>
      step(tracer, 'approve', {}, async (span) => {
        const received = await receive(envelope);
        span.setAttributes(
          'refused' in received
            ? refusalAttributes(received.refused)
            : { 'countersign.plan.id': received.plan.id, 'countersign.plan.state': received.plan.state },
        );
        return received;
      }),
    applying: (apply) => (id, by) =>
      step(tracer, 'apply', { 'countersign.plan.id': id }, async (span) => {
        const reply = await apply(id, by);
        if (reply.plan !== undefined) {
          span.setAttributes({
            'countersign.task.id': reply.plan.plan.task,
            'countersign.plan.state': reply.plan.state,
          });
        }
        if (reply.reply === 'refused') span.setAttributes(refusalAttributes(reply.refusal));
        return reply;
      }),
    session: (opened, target) => traceSession(tracer, opened, target),
  };
}

const DB: Attributes = { 'db.system.name': 'postgresql' };

function traceSession(tracer: Tracer, { session, steps }: OpenedSession, target: string): OpenedSession {
  const { judge, relay, settle, transact } = session;
  let batch: Batch = { span: null };

  function begin(text: string): void {
    if (batch.span !== null) return;
    const attributes = {
      ...DB,
      'countersign.task.id': session.task.id,
      'countersign.agent': session.task.agent,
      'countersign.target': target,
      'countersign.channel': session.channel,
    };
    const parent = contextOf(traceparentInComment(text));
    batch.span = tracer.startSpan('intent', { kind: SpanKind.SERVER, attributes }, parent);
  }

  /** What the last step came to is what the intent came to. */
  function concluded(outcome: Outcome): Outcome {
    batch.span?.setAttributes(outcomeAttributes(outcome));
    return outcome;
  }

  function end(): void {
    batch.span?.end();
    batch = { span: null };
  }

  Object.assign(session, {
    judge: (text, ahead) => {
      const judgement = judge(text, ahead);
      batch.span?.setAttributes(judgementAttributes(judgement));
      return judgement;
    },
    relay: (...sent) =>
      step(tracer, 'execute', { ...DB, 'countersign.target': target }, async (span) => {
        const relayed = await relay(...sent);
        if (relayed.failure !== null) {
          span.setStatus({ code: SpanStatusCode.ERROR });
          span.setAttributes({
            'error.type': relayed.failure.sqlstate,
            'db.response.status_code': relayed.failure.sqlstate,
          });
        }
        return relayed;
      }),
    settle: async (sink) => concluded(await settle(sink)),
    transact: async (...asked) => concluded(await transact(...asked)),
  } satisfies Partial<OpenedSession['session']>);

  return {
    session,
    steps: {
      ...steps,
      split(text) {
        begin(text);
        return steps.split(text);
      },
      async deny(actor, statement, judgement) {
        const refusal = await steps.deny(actor, statement, judgement);
        batch.span?.setAttributes(refusalAttributes(refusal));
        return refusal;
      },
      hold: async (actor, statements) => concluded(await steps.hold(actor, statements)),
      apply: async (actor, plan) => concluded(await steps.apply(actor, plan)),
      async within(ends, work) {
        try {
          return await withinBatch(batch, work);
        } finally {
          if (ends) end();
        }
      },
    },
  };
}

function judgementAttributes(judgement: Judgement): Attributes {
  if (judgement.verdict === 'failed') return { 'error.type': judgement.failure.sqlstate };
  return {
    'countersign.verdict': judgement.verdict,
    'db.operation.name': judgement.analysis.command,
    'db.query.summary': summaryOf(judgement.analysis),
  };
}

const MAX_NAMED = 5;

/** The command and what it names, as OpenTelemetry's `db.query.summary` is meant: of few different values, without any value. */
function summaryOf({ command, effects }: Analysis): string {
  // What is in no schema may be a file or a role: its name can be a value.
  const direct = effects.filter(({ via, object }) => via === 'direct' && object.schema !== '');
  const named = [...new Set(direct.map(({ object }) => objectName(object)))];
  return [command, ...named.slice(0, MAX_NAMED)].join(' ');
}

function outcomeAttributes(outcome: Outcome): Attributes {
  if (outcome.outcome === 'refused') return refusalAttributes(outcome.refusal);
  if (outcome.outcome === 'failed') return { 'countersign.outcome': 'failed', 'error.type': outcome.failure.sqlstate };
  return { 'countersign.outcome': outcome.outcome };
}

function refusalAttributes({ refused, plan }: Refusal): Attributes {
  return {
    'countersign.outcome': refused,
    'db.response.status_code': SQLSTATES[refused],
    ...(plan === undefined ? {} : { 'countersign.plan.id': plan }),
  };
}

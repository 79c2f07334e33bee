import type { DatabaseFailure } from '../domain/database-failure.ts';
import type { Decision } from '../domain/decision.ts';
import type { Statement } from '../domain/intent.ts';
import { type Refusal, RefusalError, refusalOf } from '../domain/refusal.ts';
import type { SecretMode } from '../domain/secrets.ts';
import { adviseIndexes } from '../engines/postgres/health/index-advice.ts';
import { bind, describe, execute, parse, SYNC } from '../engines/postgres/wire-messages.ts';
import { EngineFailure, type ExpectedReply, SessionLost } from '../engines/session.ts';
import type { ActorSession, Runnable } from './actor-session.ts';
import { answerAlreadySo } from './already-so.ts';
import { type JudgedStatement, judgeFilled, type Steps } from './carry-query.ts';
import { collectReplies, type Replies } from './collect-replies.ts';
import type { PlanView, ResultBounds, Session, StatementReply } from './gateway.ts';
import { guardReply } from './guard-reply.ts';
import type { Outcome } from './outcome.ts';
import { CALLED_OFF } from './session-refusals.ts';
import type { Watch } from './watch.ts';

/**
 * The way of one statement for channels that speak in whole statements: the same steps as `carryQuery`, and the answer
 * collected up to the bounds instead of streamed.
 */
export function createStatementSession(deps: {
  readonly session: ActorSession;
  readonly steps: Steps;
  readonly plan: (id: string) => Promise<PlanView | undefined>;
  readonly policyDigest: () => Decision['policyDigest'];
  /** What becomes of values that look like secrets. */
  readonly secrets: () => SecretMode;
}): Session {
  const { session, steps } = deps;

  async function run(statement: Statement, asked: ResultBounds, watch?: Watch): Promise<StatementReply> {
    const { rowsPerReply = asked.maxRows, bytesPerReply = asked.maxBytes } = session.task.limits;
    const bounds: ResultBounds = {
      maxRows: Math.min(asked.maxRows, rowsPerReply),
      maxBytes: Math.min(asked.maxBytes, bytesPerReply),
    };
    const halted = session.standing();
    if (halted !== undefined) return refused(halted);
    const judged = await judgeOne(statement);
    if ('sqlstate' in judged) return { reply: 'failed', failure: judged };
    const { judgement } = judged;
    switch (judgement.verdict) {
      case 'deny':
      case 'unsupported':
        return refused(await steps.deny(session, statement, judgement));
      case 'transaction':
        return refused(NO_TRANSACTIONS);
      case 'apply':
        return replyOf(await steps.apply(session, judgement.plan));
      case 'already so': {
        const replies = collectReplies(bounds);
        const outcome = await answerAlreadySo(session, judgement, replies);
        return outcome.outcome === 'done' ? answer(replies, new Map(), outcome) : replyOf(outcome);
      }
      case 'hold':
      case 'plan':
        return replyOf(await steps.hold(session, [judged]));
      case 'run':
      case 'session':
        return carry({ ...judged, judgement }, bounds, watch);
      default:
        return judgement satisfies never;
    }
  }

  async function carry(
    { statement, judgement, positionBefore }: JudgedStatement & { readonly judgement: Runnable },
    bounds: ResultBounds,
    watch: Watch | undefined,
  ): Promise<StatementReply> {
    const replies = collectReplies(bounds);
    const connection = await session.enter(judgement);
    if (watch?.signal.aborted) {
      await session.settle(replies);
      return refused(CALLED_OFF);
    }
    watch?.step('running');
    const writes = session.mayWrite(judgement);
    // A write runs to its end, whatever it returns; a read need not return more than is looked at.
    const frames = framesOf(statement, writes ? 0 : bounds.maxRows + 1);
    if (writes) session.note({ statement, analysis: judgement.analysis });
    else if (judgement.verdict === 'run') session.noteRead(judgement.analysis);
    const abort = (): void => {
      session.cancel().catch(() => connection.destroy());
    };
    watch?.signal.addEventListener('abort', abort, { once: true });
    try {
      const send = () => session.relay(connection, frames, expectedReplies(positionBefore), session.output(replies));
      if (!(await session.ready(judgement, connection, session.output(replies)))) {
        await session.settle(replies);
        return answer(replies, new Map(), { outcome: 'done' });
      }
      if (judgement.verdict === 'session') await session.adopt(judgement.act, connection, send);
      else if ((await send()).failure !== null) session.noteFailure();
      const types = await typeNames(replies, connection.transaction === 'failed');
      const outcome = await session.settle(replies);
      return outcome.outcome === 'done'
        ? answer(replies, types.size > 0 ? types : await typeNames(replies, false), outcome)
        : replyOf(outcome);
    } finally {
      watch?.signal.removeEventListener('abort', abort);
    }
  }

  /** A write's columns are known only once its answer is let go; a read's before its transaction ends. */
  async function typeNames(replies: Replies, failed: boolean): Promise<ReadonlyMap<number, string>> {
    const oids = [...new Set(replies.columns.map((column) => column.type))];
    const connection = session.connections.opened('read');
    if (oids.length === 0 || failed || connection === undefined || connection.transaction === 'failed')
      return new Map();
    const list = oids.map((oid) => `(${oid})`).join(', ');
    const [result] = await connection.own(
      `SELECT o.oid::text, pg_catalog.format_type(o.oid::pg_catalog.oid, NULL) FROM (VALUES ${list}) AS o (oid)`,
    );
    return new Map((result?.rows ?? []).map(([oid, name]) => [Number(oid), name ?? 'unknown']));
  }

  async function judgeOne(statement: Statement): Promise<JudgedStatement | DatabaseFailure> {
    const parts = steps.split(statement.text);
    if ('sqlstate' in parts) return parts;
    if (parts.length !== 1) return parts.length === 0 ? EMPTY : SEVERAL;
    const { text, judgement, ...filled } = await judgeFilled(session, steps, statement.text);
    return judgement.verdict === 'failed'
      ? judgement.failure
      : { statement: { ...statement, text }, judgement, ...filled };
  }

  async function refused(refusal: Refusal): Promise<StatementReply> {
    const plan = refusal.plan === undefined ? undefined : await deps.plan(refusal.plan);
    return { reply: 'refused', refusal, ...(plan === undefined ? {} : { plan }) };
  }

  async function replyOf(outcome: Outcome): Promise<StatementReply> {
    switch (outcome.outcome) {
      case 'done':
        return { reply: 'done', command: '', rows: null, notices: [] };
      case 'applied':
        return appliedReply(outcome);
      case 'gathered':
        throw new Error('a channel of whole statements has no transactions to gather for');
      case 'failed':
        return { reply: 'failed', failure: outcome.failure };
      case 'refused':
        return refused(outcome.refusal);
      default:
        return outcome satisfies never;
    }
  }

  return {
    task: session.task,
    async run(statement, bounds, watch) {
      session.watch = watch;
      try {
        const reply = await (steps.within?.(true, () => run(statement, bounds, watch)) ??
          run(statement, bounds, watch));
        return guardReply(reply, deps.secrets());
      } catch (error) {
        if (error instanceof RefusalError) return refused(error.refusal);
        if (error instanceof EngineFailure)
          return guardReply({ reply: 'failed', failure: error.failure }, deps.secrets());
        if (error instanceof SessionLost) return refused(lost(error));
        throw error;
      } finally {
        session.watch = undefined;
      }
    },
    async explain(statement) {
      const halted = session.standing();
      if (halted !== undefined) return { refused: halted };
      const judged = await judgeOne(statement);
      if ('sqlstate' in judged) {
        return {
          refused: {
            refused: 'denied',
            message: judged.message,
            detail: `SQLSTATE ${judged.sqlstate}`,
            hint: 'Mend the statement.',
          },
        };
      }
      const { judgement } = judged;
      if (judgement.verdict === 'unsupported') return { refused: judgement.refusal };
      const decision = 'decision' in judgement ? judgement.decision : undefined;
      return {
        analysis: judgement.analysis,
        decision: decision ?? { decision: 'allow', policies: [], policyDigest: deps.policyDigest() },
      };
    },
    async adviseIndexes(query) {
      const halted = session.standing();
      if (halted !== undefined) return { refused: halted };
      const judged = await judgeOne({ text: query, parameters: [] });
      if ('sqlstate' in judged) return { failure: judged };
      const { judgement } = judged;
      if (judgement.verdict === 'deny') return { refused: await steps.deny(session, judged.statement, judgement) };
      if (judgement.verdict !== 'run' || judgement.how !== 'read') return { refused: NOT_PLANNED_ON_TRIAL };
      session.noteRead(judgement.analysis);
      try {
        return await adviseIndexes(await session.connections.open('read'), judged.statement.text);
      } catch (error) {
        if (error instanceof EngineFailure) return { failure: error.failure };
        if (error instanceof SessionLost) return { refused: lost(error) };
        throw error;
      }
    },
    close: () => session.close(),
  };
}

function expectedReplies(positionIn: JudgedStatement['positionBefore']): readonly ExpectedReply[] {
  return [
    { to: 'parse', ...(positionIn === undefined ? {} : { positionIn }) },
    { to: 'bind' },
    { to: 'describe portal' },
    { to: 'execute' },
    { to: 'sync' },
  ];
}

function framesOf({ text, parameters }: Statement, maxRows: number): readonly Buffer[] {
  const values = parameters.map(({ value }) => (value === null ? null : Buffer.from(value, 'utf8')));
  return [
    parse('', text, []),
    bind({ portal: '', statement: '', formats: [], values, resultFormats: [] }),
    describe('portal', ''),
    execute('', maxRows),
    SYNC,
  ];
}

function answer(
  replies: Replies,
  types: ReadonlyMap<number, string>,
  outcome: Extract<Outcome, { outcome: 'done' }>,
): StatementReply {
  const { failure, notices } = replies;
  if (failure !== null) {
    // The gateway itself ended it: halted, or longer than the task allows.
    const refusal = refusalOf(failure);
    return refusal === undefined ? { reply: 'failed', failure } : { reply: 'refused', refusal };
  }
  const command = replies.command ?? 'SELECT';
  if (replies.columns.length > 0) {
    return {
      reply: 'rows',
      command,
      columns: replies.columns.map(({ name, type }) => ({ name, type: types.get(type) ?? 'unknown' })),
      rows: replies.rows,
      truncated: replies.truncated,
      notices,
    };
  }
  const effect = outcome.tables === undefined ? {} : { effect: { tables: outcome.tables } };
  return { reply: 'done', command, rows: rowsIn(command), notices, ...effect };
}

function appliedReply({ answers, notices }: Extract<Outcome, { outcome: 'applied' }>): StatementReply {
  const command = answers.at(-1)?.command ?? '';
  const said = [...notices, ...answers.flatMap((answer) => answer.notices)];
  return { reply: 'done', command, rows: rowsIn(command), notices: said.map(({ message }) => message) };
}

function rowsIn(command: string): number | null {
  const count = / (\d+)$/.exec(command)?.[1];
  return count === undefined ? null : Number(count);
}

/** Planning a query may run functions that users have declared immutable: those that are the server's own are harmless. */
const NOT_PLANNED_ON_TRIAL: Refusal = {
  refused: 'unsupported',
  message: 'Only a query that reads, and calls nothing but the server’s own functions, is planned on trial.',
  hint: 'Leave user-defined functions out of it, and for a write ask for the SELECT that finds its rows.',
};

const NO_TRANSACTIONS: Refusal = {
  refused: 'unsupported',
  message: 'Each call is a transaction of its own: BEGIN, COMMIT and their kin have no meaning here.',
  hint: 'Send the statements one by one, or use the PostgreSQL wire channel for transactions.',
};

const EMPTY: DatabaseFailure = { severity: 'ERROR', sqlstate: '42601', message: 'there is no statement in this text' };
const SEVERAL: DatabaseFailure = {
  severity: 'ERROR',
  sqlstate: '42601',
  message: 'there are several statements in this text',
  hint: 'Send them one by one.',
};

function lost(error: Error): Refusal {
  return {
    refused: 'unavailable',
    message: `The connection to the target was lost: ${error.message}`,
    hint: 'Nothing that was not committed took effect. Try again.',
  };
}

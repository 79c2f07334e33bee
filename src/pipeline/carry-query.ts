import type { DatabaseFailure } from '../domain/database-failure.ts';
import type { OwnView } from '../domain/effect.ts';
import type { Statement } from '../domain/intent.ts';
import type { Refusal } from '../domain/refusal.ts';
import { query as queryFrame } from '../engines/postgres/wire-messages.ts';
import type { CopySource, EngineSession, ExpectedReply, Relayed, ReplySink } from '../engines/session.ts';
import type { ActorSession, Runnable } from './actor-session.ts';
import { type Ahead, createLookAhead, NOTHING_AHEAD } from './ahead.ts';
import { becomesPlan, type Judgement } from './judge.ts';
import type { Outcome } from './outcome.ts';

/** What happens to statements that don't simply run, wired together once and the same for every channel. */
export interface Steps {
  /** The text with the gateway's own relations put into it. */
  readonly fill: (session: ActorSession, text: string, views: readonly OwnView[]) => Promise<string>;
  readonly split: (text: string) => readonly SplitStatement[] | DatabaseFailure;
  readonly hold: (session: ActorSession, statements: readonly JudgedStatement[]) => Promise<Outcome>;
  /** Applies a plan that is named, in place of the statement that names it. */
  readonly apply: (session: ActorSession, plan: string) => Promise<Outcome>;
  readonly deny: (session: ActorSession, statement: Statement, judgement: Refusing) => Promise<Refusal>;
  /** Where a session is watched: carries out what belongs to the batch that is under way, and ends with it when told. */
  readonly within?: <Result>(ends: boolean, work: () => Promise<Result>) => Promise<Result>;
}

export interface SplitStatement {
  readonly text: string;
  /** Where it begins in the whole text, in characters. */
  readonly start: number;
}

export interface JudgedStatement {
  readonly statement: Statement;
  readonly judgement: Extract<Judgement, { analysis: unknown }>;
}

export type Refusing = Extract<Judgement, { verdict: 'deny' | 'unsupported' }>;

const APPLY_ALONE: Refusal = {
  refused: 'unsupported',
  message: 'countersign.apply stands alone: other statements came with it, and nothing was run.',
  hint: 'Send the CALL by itself.',
};

const SETTINGS_BETWEEN: Refusal = {
  refused: 'unsupported',
  message:
    'What names mean would change midway through this text, in a way that can’t be told beforehand; nothing was run.',
  hint: 'Send SET, BEGIN, ROLLBACK and their kin by themselves.',
};

/**
 * The way of a whole query text, top to bottom:
 *
 *     intent ─► analyse ─► decide ─► [allow] ─► execute ─► measure ─► commit ─► prove ─► reply
 *                             ├► [deny] ─► prove ─► reply
 *                             └► [hold] ─► dry run ─► plan ─► prove ─► reply      … approve ─► apply
 *
 * Several statements in one text are one batch: all are judged before any of them runs, and what they write is measured
 * and committed together, as PostgreSQL would (PostgreSQL, "Multiple Statements in a Simple Query").
 */
export async function carryQuery(
  session: ActorSession,
  query: { readonly text: string; readonly frame: Buffer; readonly sink: ReplySink; readonly rows?: CopySource },
  steps: Steps,
): Promise<Outcome | { readonly outcome: 'empty' }> {
  const halted = session.standing();
  if (halted !== undefined) return { outcome: 'refused', refusal: halted };

  const parts = steps.split(query.text);
  if ('sqlstate' in parts) return abort(session, { outcome: 'failed', failure: parts });
  if (parts.length === 0) return { outcome: 'empty' };

  const judged: JudgedStatement[] = [];
  const ahead = createLookAhead(session.transaction !== 'idle');
  for (const part of parts) {
    const { text, judgement } = await judgeFilled(session, steps, part.text, ahead);
    const statement = { text, parameters: [] };
    if (judgement.verdict === 'failed') return abort(session, { outcome: 'failed', failure: judgement.failure });
    if (judgement.verdict === 'deny' || judgement.verdict === 'unsupported') {
      return abort(session, { outcome: 'refused', refusal: await steps.deny(session, statement, judgement) });
    }
    judged.push({ statement, judgement });
    if (parts.length > 1 && !ahead.pass(judgement)) {
      return abort(session, { outcome: 'refused', refusal: SETTINGS_BETWEEN });
    }
  }
  const apply = judged.find(({ judgement }) => judgement.verdict === 'apply')?.judgement;
  if (apply?.verdict === 'apply') {
    if (judged.length > 1) return abort(session, { outcome: 'refused', refusal: APPLY_ALONE });
    return abort(session, await steps.apply(session, apply.plan));
  }
  if (judged.some(({ judgement }) => becomesPlan(judgement))) {
    return abort(session, await steps.hold(session, judged));
  }

  for (const [index, { statement, judgement }] of judged.entries()) {
    const frame = statement.text === query.text ? query.frame : queryFrame(statement.text);
    const { sink } = query;
    const rows = judgement.analysis.takesRows === true ? query.rows : undefined;
    const replies: ExpectedReply[] = [{ to: 'query', charactersBefore: parts[index]?.start ?? 0 }];
    const runnable = judgement as Runnable;
    const outcome = await run(session, { statement, judgement: runnable, frame, replies, sink, rows });
    if (outcome.outcome !== 'done') return outcome;
    if (session.failedInBatch) break;
  }
  return session.settle(query.sink);
}

/** A statement and what is to become of it, with the gateway's own relations filled in where it names them. */
export async function judgeFilled(
  session: ActorSession,
  steps: Pick<Steps, 'fill'>,
  asked: string,
  ahead: Ahead = NOTHING_AHEAD,
): Promise<{ readonly text: string; readonly judgement: Judgement }> {
  const judgement = session.judge(asked, ahead);
  const views = judgement.verdict === 'run' ? judgement.analysis.ownViews : undefined;
  if (views === undefined) return { text: asked, judgement };
  const text = await steps.fill(session, asked, views);
  return { text, judgement: session.judge(text, ahead) };
}

async function run(
  session: ActorSession,
  carriage: {
    readonly statement: Statement;
    readonly judgement: Runnable;
    readonly frame: Buffer;
    readonly replies: readonly ExpectedReply[];
    readonly sink: ReplySink;
    readonly rows: CopySource | undefined;
  },
): Promise<Outcome> {
  const { statement, judgement, frame, replies, sink, rows } = carriage;
  const send = async (connection: EngineSession, to: ReplySink): Promise<Relayed> => {
    const relayed = await session.relay(connection, [frame], replies, to, rows);
    if (relayed.failure !== null) session.noteFailure();
    return relayed;
  };
  if (judgement.verdict === 'transaction') return session.transact(judgement.act, send, sink);

  const entered = session.enter(judgement);
  const connection = entered instanceof Promise ? await entered : entered;
  if (!(await session.ready(judgement, connection, session.output(sink)))) return { outcome: 'done' };
  if (judgement.verdict === 'session') {
    return session.adopt(judgement.act, connection, () => send(connection, session.output(sink)));
  }
  if (session.mayWrite(judgement)) session.note({ statement, analysis: judgement.analysis });
  else session.noteRead(judgement.analysis);
  await send(connection, session.output(sink));
  return { outcome: 'done' };
}

/** Refused or failed before the database saw it: an open transaction is aborted all the same, as PostgreSQL does. */
async function abort(session: ActorSession, outcome: Outcome): Promise<Outcome> {
  if (outcome.outcome !== 'done' && outcome.outcome !== 'applied') await session.fail();
  return outcome;
}

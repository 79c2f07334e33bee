import type { DatabaseFailure } from '../domain/database-failure.ts';
import type { Analysis } from '../domain/effect.ts';
import type { Statement } from '../domain/intent.ts';
import type { Refusal } from '../domain/refusal.ts';
import { query as queryFrame } from '../engines/postgres/wire-messages.ts';
import type { CopySource, EngineSession, ExpectedReply, Relayed, ReplySink } from '../engines/session.ts';
import type { ActorSession, Runnable } from './actor-session.ts';
import { type Ahead, createLookAhead, NOTHING_AHEAD } from './ahead.ts';
import { answerAlreadySo } from './already-so.ts';
import { becomesPlan, type Judgement } from './judge.ts';
import type { Outcome } from './outcome.ts';
import type { Spliced } from './splice.ts';
import { writeAnswers } from './write-answers.ts';

/** What happens to statements that don't simply run, wired together once and the same for every channel. */
export interface Steps {
  /** The text with what the gateway has for relations that it names put into it. */
  readonly fill: (
    session: ActorSession,
    text: string,
    views: Pick<Analysis, 'ownViews' | 'schemaViews'>,
  ) => Promise<Spliced>;
  /** Looks at the target's catalogue anew. */
  readonly look: () => Promise<unknown>;
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

export interface JudgedStatement extends Pick<Filled, 'positionBefore'> {
  readonly statement: Statement;
  readonly judgement: Extract<Judgement, { analysis: unknown }>;
}

export interface Filled {
  readonly text: string;
  readonly judgement: Judgement;
  /** Where the server's position in this text lies in the text that was sent; absent where the two are one. */
  readonly positionBefore?: Spliced['positionBefore'];
}

export type Refusing = Extract<Judgement, { verdict: 'deny' | 'unsupported' }>;

const APPLY_ALONE: Refusal = {
  refused: 'unsupported',
  message: 'countersign.apply stands alone: other statements came with it, and nothing was run.',
  hint: 'Send the CALL by itself.',
};

const READ_APART: Refusal = {
  refused: 'unsupported',
  message: 'This text changes definitions and also reads or sets something; nothing was run.',
  hint: 'Send what changes definitions in a text of its own, or all of it between BEGIN and COMMIT.',
};

const PLAN_APART: Refusal = {
  refused: 'unsupported',
  message: 'A change that must become a plan came in one text with the end of a transaction and other statements.',
  hint: 'What was committed before it stays; of the rest nothing was run. Send the change by itself.',
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
  const ahead = createLookAhead();
  for (const part of parts) {
    const found = judgeFilled(session, steps, part.text, ahead);
    const { text, judgement, positionBefore } = found instanceof Promise ? await found : found;
    const statement = { text, parameters: [] };
    if (judgement.verdict === 'failed') return abort(session, { outcome: 'failed', failure: judgement.failure });
    if (judgement.verdict === 'deny' || judgement.verdict === 'unsupported') {
      return abort(session, { outcome: 'refused', refusal: await steps.deny(session, statement, judgement) });
    }
    judged.push({ statement, judgement, ...(positionBefore === undefined ? {} : { positionBefore }) });
    if (parts.length > 1 && !ahead.pass(judgement)) {
      return abort(session, { outcome: 'refused', refusal: SETTINGS_BETWEEN });
    }
  }
  const apply = judged.find(({ judgement }) => judgement.verdict === 'apply')?.judgement;
  if (apply?.verdict === 'apply') {
    if (judged.length > 1) return abort(session, { outcome: 'refused', refusal: APPLY_ALONE });
    return abort(session, await steps.apply(session, apply.plan));
  }
  // Around what the actor begins and ends itself, each statement finds the transaction as those before it have left it.
  const inOrder = judged.some(({ judgement }) => judgement.verdict === 'transaction');
  if (!inOrder && judged.some(({ judgement }) => becomesPlan(judgement))) {
    return abort(session, await planned(session, judged, steps));
  }

  const block = parts.length > 1 && !givesBack(judged);
  for (const [index, one] of judged.entries()) {
    if (block && one.judgement.verdict !== 'transaction' && !becomesPlan(one.judgement)) {
      await session.beginBlock(judged.slice(index).map(({ judgement }) => judgement));
    }
    const frame = one.statement.text === query.text ? query.frame : queryFrame(one.statement.text);
    const outcome = await carryOne(session, one, { ...query, frame, before: parts[index]?.start ?? 0 }, steps);
    if (outcome.outcome !== 'done') {
      await abort(session, outcome);
      // What was answered before it is said before it, and nothing of the text stays.
      await session.settle(query.sink);
      return outcome;
    }
    if (session.failedInBatch) break;
  }
  return session.settle(query.sink);
}

/** What a pool sends when it takes a connection back. Settings are thrown away outside of transactions: none could bring them back. */
function givesBack(judged: readonly JudgedStatement[]): boolean {
  const acts = judged.map(({ judgement }) => (judgement.verdict === 'session' ? judgement.act.act : null));
  return acts.includes('discard') && !acts.includes(null);
}

/** One statement of a text, at its place. Done: what it was answered has been said. */
async function carryOne(
  session: ActorSession,
  { statement, judgement: asSent, positionBefore = asItIs }: JudgedStatement,
  {
    frame,
    sink,
    rows,
    before,
  }: {
    readonly frame: Buffer;
    readonly sink: ReplySink;
    readonly rows?: CopySource;
    /** Characters of the text before the statement. */
    readonly before: number;
  },
  steps: Steps,
): Promise<Outcome> {
  // Definitions that were gathered meanwhile are none that it was judged by; and what may stay open, depends on what is open now.
  const asJudged = session.gathering.gathered === null && asSent.analysis.holdsCursor === undefined;
  const judgement = asJudged ? asSent : session.judge(statement.text);
  if (judgement.verdict === 'failed') return abort(session, { outcome: 'failed', failure: judgement.failure });
  if (judgement.verdict === 'deny' || judgement.verdict === 'unsupported') {
    return abort(session, { outcome: 'refused', refusal: await steps.deny(session, statement, judgement) });
  }
  if (judgement.verdict === 'already so') return abort(session, await answerAlreadySo(session, judgement, sink));
  if (becomesPlan(judgement)) {
    if (session.inBlock) return abort(session, { outcome: 'refused', refusal: PLAN_APART });
    return abort(session, said(sink, await steps.hold(session, [{ statement, judgement }])));
  }
  const runnable = judgement as Runnable;
  const replies: ExpectedReply[] = [{ to: 'query', positionIn: (position) => before + positionBefore(position) }];
  const taken = judgement.analysis.takesRows === true ? rows : undefined;
  return said(sink, await run(session, { statement, judgement: runnable, frame, replies, sink, rows: taken }));
}

/** What a plan answered in place of the statement is said where the statement's answer is due. */
function said(sink: ReplySink, outcome: Outcome): Outcome {
  if (outcome.outcome !== 'applied' && outcome.outcome !== 'gathered') return outcome;
  writeAnswers(sink, outcome);
  return { outcome: 'done' };
}

function asItIs(position: number): number {
  return position;
}

/**
 * What is already so may no longer be once the rest has changed: it becomes part of the plan. What only reads has no place
 * in one; where people decide on the rest, it is left out of what they are shown.
 */
async function planned(session: ActorSession, judged: readonly JudgedStatement[], steps: Steps): Promise<Outcome> {
  const all = judged.map(
    ({ statement, judgement }): JudgedStatement => ({
      statement,
      judgement: judgement.verdict === 'already so' ? judgement.otherwise : judgement,
    }),
  );
  for (const { statement, judgement } of all) {
    if (judgement.verdict === 'deny' || judgement.verdict === 'unsupported') {
      return { outcome: 'refused', refusal: await steps.deny(session, statement, judgement) };
    }
  }
  const nobodyAsked = all.every(({ judgement }) => judgement.verdict !== 'hold');
  const answersAll = all.every(
    ({ judgement }) => becomesPlan(judgement) || (judgement.verdict === 'run' && judgement.how === 'write'),
  );
  if (nobodyAsked && !answersAll) return { outcome: 'refused', refusal: READ_APART };
  return steps.hold(session, all);
}

/** A statement and what is to become of it, with the gateway's own relations filled in where it names them. */
export function judgeFilled(
  session: ActorSession,
  steps: Pick<Steps, 'fill' | 'look'>,
  asked: string,
  ahead: Ahead = NOTHING_AHEAD,
): Filled | Promise<Filled> {
  const judgement = session.judge(asked, ahead);
  // What is answered must be true now, not a second ago.
  if (judgement.verdict === 'already so') {
    return steps.look().then(() => ({ text: asked, judgement: session.judge(asked, ahead) }));
  }
  const meant = judgement.instead ?? asked;
  if (judgement.verdict !== 'run') return { text: meant, judgement };
  const { ownViews, schemaViews } = judgement.analysis;
  if (ownViews === undefined && schemaViews === undefined) return { text: meant, judgement };
  return fill(session, steps, { meant, judgement, ahead });
}

async function fill(
  session: ActorSession,
  steps: Pick<Steps, 'fill'>,
  { meant, judgement, ahead }: { meant: string; judgement: Extract<Judgement, { verdict: 'run' }>; ahead: Ahead },
): Promise<Filled> {
  const { ownViews, shape } = judgement.analysis;
  const { text, positionBefore } = await steps.fill(session, meant, judgement.analysis);
  const filled = session.judge(text, ahead);
  if (filled.verdict === 'run') {
    return { text, judgement: { ...filled, analysis: { ...filled.analysis, shape } }, positionBefore };
  }
  // What stands in for a view of the server's doesn't fit everywhere; the view itself does.
  return ownViews === undefined ? { text: meant, judgement } : { text, judgement: filled };
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
    const relayed = await session.relay(connection, [frame], replies, to, { rows });
    if (relayed.failure !== null) session.noteFailure();
    return relayed;
  };
  if (judgement.verdict === 'transaction') return session.transact(judgement.act, send, sink);

  const entered = session.enter(judgement);
  const connection = entered instanceof Promise ? await entered : entered;
  const ready = session.ready(judgement, connection, session.output(sink));
  if (ready !== true && !(await ready)) return { outcome: 'done' };
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
  if (outcome.outcome === 'failed' || outcome.outcome === 'refused') await session.fail();
  return outcome;
}

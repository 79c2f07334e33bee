import type { DatabaseFailure } from '../domain/database-failure.ts';
import type { Allowed, Denied, Held } from '../domain/decision.ts';
import type { AlreadySo, Analysis, SessionAct, TransactionAct } from '../domain/effect.ts';
import type { Refusal } from '../domain/refusal.ts';

/** What is to become of one statement, before anything of it has run. */
export type Judgement = Verdict & {
  /** What is carried in place of the text that was asked for. */
  readonly instead?: string;
  /** There, masked columns are read through their views. */
  readonly masked?: true;
  /** There, texts of the catalogue stand under the condition that the task may know them. */
  readonly conditioned?: true;
};

type Verdict =
  | {
      readonly verdict: 'run';
      readonly how: 'read' | 'pinned read' | 'write';
      readonly analysis: Analysis;
      readonly decision: Allowed;
    }
  | { readonly verdict: 'transaction'; readonly act: TransactionAct; readonly analysis: Analysis }
  | { readonly verdict: 'session'; readonly act: SessionAct; readonly analysis: Analysis }
  | { readonly verdict: 'apply'; readonly plan: string; readonly analysis: Analysis }
  /** `otherwise`: what becomes of it where it turns out not to be so, or not to stay so. */
  | { readonly verdict: 'already so'; readonly so: AlreadySo; readonly analysis: Analysis; readonly otherwise: Judged }
  | { readonly verdict: 'hold'; readonly analysis: Analysis; readonly decision: Held }
  /** Policy lets it through, and no session's login may do it (G4): it becomes a plan that nothing is missing of. */
  | { readonly verdict: 'plan'; readonly analysis: Analysis; readonly decision: Allowed }
  | { readonly verdict: 'deny'; readonly analysis: Analysis; readonly decision: Denied }
  | { readonly verdict: 'unsupported'; readonly analysis: Analysis; readonly refusal: Refusal }
  /** It isn't SQL that the database would take; said as the database says it. */
  | { readonly verdict: 'failed'; readonly failure: DatabaseFailure };

/** Whether it is tried and planned in place of running in the actor's session. */
export function becomesPlan<J extends Judgement>(judgement: J): judgement is Extract<J, { verdict: 'hold' | 'plan' }> {
  return judgement.verdict === 'hold' || judgement.verdict === 'plan';
}

type Judged = Extract<Judgement, { verdict: 'hold' | 'plan' | 'deny' | 'unsupported' | 'run' }>;

export interface JudgeInputs {
  /** @throws never: text that can't be parsed comes back as a failure. */
  analyse(text: string): Analysis | DatabaseFailure;
  decide(analysis: Analysis): Allowed | Held | Denied;
}

/** Analyse, then decide: the middle of the way of one statement. Pure, so it can be cached by everything it looks at. */
export function judge(text: string, inputs: JudgeInputs): Judgement {
  const analysis = inputs.analyse(text);
  if ('sqlstate' in analysis) return { verdict: 'failed', failure: analysis };
  const { class: kind } = analysis;
  switch (kind.kind) {
    case 'unsupported':
      return { verdict: 'unsupported', analysis, refusal: unsupported(kind.what) };
    case 'transaction':
      return { verdict: 'transaction', act: kind.act, analysis };
    case 'session': {
      const free = analysis.effects.length === 0 && analysis.untold === undefined;
      const decision = free ? undefined : inputs.decide(analysis);
      if (decision?.decision === 'deny') return { verdict: 'deny', analysis, decision };
      // What is prepared is judged again each time it is executed; what else is held can't wait as a plan.
      if (decision?.decision === 'hold' && kind.act.act !== 'prepare')
        return { verdict: 'unsupported', analysis, refusal: unsupported(analysis.command) };
      return { verdict: 'session', act: kind.act, analysis };
    }
    case 'apply':
      return { verdict: 'apply', plan: kind.plan, analysis };
    case 'read':
    case 'write':
    case 'change': {
      const judged = judgeEffects(analysis, kind, inputs);
      const { alreadySo: so } = analysis;
      if (so === undefined || inputs.decide({ ...analysis, effects: so.shows }).decision !== 'allow') return judged;
      return { verdict: 'already so', so, analysis, otherwise: judged };
    }
    default:
      return kind satisfies never;
  }
}

function judgeEffects(
  analysis: Analysis,
  kind: Extract<Analysis['class'], { kind: 'read' | 'write' | 'change' }>,
  inputs: JudgeInputs,
): Judged {
  const decision = inputs.decide(analysis);
  if (decision.decision === 'deny') return { verdict: 'deny', analysis, decision };
  if (decision.decision === 'hold') return { verdict: 'hold', analysis, decision };
  if (kind.kind === 'change' || empties(analysis)) return planned(analysis, decision);
  const how = kind.kind === 'write' ? 'write' : kind.pure ? 'read' : 'pinned read';
  return { verdict: 'run', how, analysis, decision };
}

function unsupported(what: string): Refusal {
  return {
    refused: 'unsupported',
    message: `${what} is not carried through the gateway.`,
    hint: 'Use a statement that can be measured before it takes effect; `SECURITY.md` lists what is carried.',
  };
}

/**
 * Policy can't widen what a session's login may do, but it may ask for nobody's signature. Code that can't be looked into
 * is never run by the other credential without one, and rows that it would return have no way back to the actor.
 */
function planned(analysis: Analysis, decision: Allowed): Judged {
  if (analysis.unknown.length === 0 && !RETURNS_ROWS.has(analysis.command)) {
    return { verdict: 'plan', analysis, decision };
  }
  return { verdict: 'unsupported', analysis, refusal: onlySigned(analysis) };
}

/** TRUNCATE is a right of its own, which no session's login holds. */
function empties({ effects }: Analysis): boolean {
  return effects.some(({ verb, via }) => verb === 'truncate' && via === 'direct');
}

const RETURNS_ROWS: ReadonlySet<string> = new Set(['SELECT', 'EXPLAIN', 'COPY', 'DECLARE CURSOR']);

function onlySigned({ command }: Analysis): Refusal {
  return {
    refused: 'unsupported',
    message: `${command} can't run in a session, and not as a plan that nobody signs, whatever policy says.`,
    hint: 'Let the policy require at least one approval: then it becomes a plan and is applied by the gateway.',
  };
}

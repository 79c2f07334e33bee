import { z } from 'zod';
import { type Refusal, type RefusalCode, SQLSTATES } from '../../domain/refusal.ts';
import { visible } from '../../domain/visible.ts';
import type { PlanView } from '../../pipeline/gateway.ts';
import type { Answer } from './answer.ts';
import { missingOf, type PlanAnswer, planAnswer, planText } from './plan-answer.ts';

/** The outcomes of every tool that are a no. The output schema of each tool holds them beside its own. */
export const REFUSED_OUTCOMES = [
  'held',
  'denied',
  'stale',
  'halted',
  'overLimit',
  'identityMismatch',
  'unavailable',
  'unsupported',
] as const satisfies readonly RefusalCode[];

/** The fields of a refusal, all absent when there is none. Tools whose calls can become a plan hold `plan` besides. */
export const REFUSAL_FIELDS = {
  code: z.string().optional().describe('SQLSTATE: class CS is Countersign’s own.'),
  message: z.string().optional().describe('The fact in one sentence.'),
  detail: z.string().optional(),
  hint: z.string().optional().describe('What would be allowed, or what to do next.'),
  missing: z.array(z.string()).optional(),
  next: z.array(z.string()).optional().describe('What to do now, in this order.'),
};

interface RefusedAnswer extends Record<string, unknown> {
  readonly outcome: RefusalCode;
  readonly code: string;
  readonly message: string;
  readonly detail?: string;
  readonly hint: string;
  readonly plan?: PlanAnswer;
  readonly missing?: string[];
  readonly next: string[];
}

/** A refusal as an agent must get it: it says to stop, what is missing, who decides, and how to learn the outcome. */
export function refusalAnswer(refusal: Refusal, plan?: PlanView): Answer<RefusedAnswer> {
  const proposed = plan === undefined ? undefined : planAnswer(plan);
  const missing = plan === undefined ? undefined : missingOf(plan);
  const next = nextSteps(refusal, plan);
  const structured: RefusedAnswer = {
    outcome: refusal.refused,
    code: SQLSTATES[refusal.refused],
    message: refusal.message,
    ...(refusal.detail === undefined ? {} : { detail: refusal.detail }),
    hint: refusal.hint,
    ...(proposed === undefined ? {} : { plan: proposed }),
    ...(missing === undefined ? {} : { missing }),
    next,
  };
  const text = [
    `${HEADLINES[refusal.refused]} ${visible(refusal.message)} [${structured.code}]`,
    ...(refusal.detail === undefined ? [] : refusal.detail.split('\n').map(visible)),
    visible(refusal.hint),
    ...(proposed === undefined ? [] : [planText(proposed)]),
    ...next.map((step, at) => `${at + 1}. ${step}`),
  ].join('\n');
  return { structured, text, isError: true };
}

const HEADLINES: Readonly<Record<RefusalCode, string>> = {
  held: 'HELD: nothing was executed.',
  denied: 'DENIED: nothing was executed.',
  stale: 'STALE: nothing was executed.',
  halted: 'HALTED: a person has stopped this.',
  overLimit: 'OVER THE LIMIT: nothing was kept.',
  identityMismatch: 'WRONG DATABASE: nothing was executed.',
  unavailable: 'NOT NOW:',
  unsupported: 'NOT CARRIED: nothing was executed.',
};

function nextSteps(refusal: Refusal, plan: PlanView | undefined): string[] {
  const id = plan?.id ?? refusal.plan;
  switch (refusal.refused) {
    case 'held':
      return [
        'Stop here. Don’t try to reach the same effect in another way, in pieces, or through another tool.',
        `Tell the person you work for what you proposed and what it would do${plan === undefined ? '' : `: they decide with \`${plan.decideWith}\``}. Neither you nor any other agent can approve.`,
        ...(id === undefined ? [] : [`To learn the outcome, call get_plan with plan "${id}" and wait_seconds 55.`]),
        'Once it is approved, call apply_plan, or send the identical statement again in the same task.',
      ];
    case 'denied':
      return [
        'Stop here. No approval can change this; don’t look for a way around it.',
        'If the work needs it, tell the person you work for, with the reason given here.',
      ];
    case 'stale':
      return [
        'Look at what has changed, and whether the change is still wanted.',
        'If it is, send the statement again: it becomes a new plan, with a new approval.',
      ];
    case 'halted':
      return [
        'Stop all work in this task. Only a person can resume it.',
        'get_status says whether the halt still stands.',
      ];
    case 'overLimit':
      return [
        'Don’t split the work to stay under the limit. Write fewer rows only if fewer were meant.',
        'Otherwise tell the person you work for that the task’s limits are too small.',
      ];
    case 'identityMismatch':
      return ['Stop here. A person must find out which database this is.'];
    case 'unavailable':
      return ['Wait, then ask get_status before you try again. If it stays so, tell the person you work for.'];
    case 'unsupported':
      return ['Find a form of the statement that is carried; the hint says which.'];
    default:
      return refusal.refused satisfies never;
  }
}

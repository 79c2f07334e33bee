import { confirm, isCancel } from '@clack/prompts';
import type { Command } from 'commander';
import pc from 'picocolors';
import { standInOf } from '../approval/delegation.ts';
import { signApproval } from '../approval/envelope.ts';
import { type ApprovalEnvelope, type ApprovalStatement, describeSigner } from '../domain/approval.ts';
import type { ChangeTime } from '../domain/change-time.ts';
import { describeChangeTime, describeObligation } from '../domain/describe-change-time.ts';
import { digestOf, type Json } from '../domain/digest.ts';
import { type ActorId, asId, instantOf, type TaskId } from '../domain/ids.ts';
import { PLAN_STATES, type PlanState, shortId } from '../domain/plan.ts';
import { RefusalError } from '../domain/refusal.ts';
import { visible } from '../domain/visible.ts';
import type { PlanView } from '../pipeline/gateway.ts';
import { planNamed } from '../pipeline/plan-view.ts';
import { describeEffect } from '../planning/describe-effect.ts';
import { renderPlan } from '../planning/render-plan.ts';
import type { Countersign } from '../server/open-countersign.ts';
import { getPlan, listPlans } from '../store/plans.ts';
import { approvalAgentNamed, approvedByAgent } from './as-approval-agent.ts';
import { keyOf, personNamed } from './as-person.ts';
import { answerWith, type CommonOptions, orRefused, UsageError, withCommonOptions } from './command.ts';
import { type DecisionsOptions, seen, showDecisions } from './decisions.ts';
import { EXIT } from './exit.ts';

export interface PersonOptions extends CommonOptions {
  readonly as?: string;
  readonly key?: string;
  readonly reason?: string;
  readonly yes?: boolean;
}

interface ListOptions extends CommonOptions {
  readonly state?: string;
  readonly task?: string;
  readonly limit: string;
}

/** Adds `countersign plan list|show|decisions|approve|reject|apply`; `break-glass` stands beside it. */
export function registerPlan(program: Command): Command {
  const plan = program.command('plan').description('what was held: look at it, decide, apply it');

  withCommonOptions(plan.command('list').description('list plans, the newest first'))
    .option('--state <state>', `only those that stand so: ${PLAN_STATES.join(', ')}`)
    .option('--task <task>', 'only those of a task')
    .option('--limit <count>', 'how many at most', '50')
    .action((options: ListOptions) => answerWith(options, (countersign) => list(countersign, options)));

  withCommonOptions(plan.command('show <plan>').description('show a plan: what it does, where, and the way back'))
    .option('--as <person>', 'who looks: how long people look before they decide is measured')
    .action((id: string, options: PersonOptions) =>
      answerWith(options, (countersign) => show(countersign, id, options)),
    );

  withCommonOptions(
    plan.command('decisions').description('how people decide: how often, how fast, how much of it unread'),
  )
    .option('--person <person>', 'only this one')
    .option('--since <time>', 'how far to look back', '30d')
    .action((options: DecisionsOptions) => answerWith(options, (countersign) => showDecisions(countersign, options)));

  for (const verdict of ['approve', 'reject'] as const) {
    personal(plan.command(`${verdict} <plan>`).description(VERDICT_HELP[verdict]))
      .option('--reason <text>', 'why; it is signed along')
      .action((id: string, options: PersonOptions) =>
        answerWith(options, (countersign) => decide(countersign, id, { ...options, verdict })),
      );
  }

  personal(plan.command('apply <plan>').description('apply an approved plan, exactly once')).action(
    (id: string, options: PersonOptions) => answerWith(options, (countersign) => apply(countersign, id, options)),
  );
  return plan;
}

const VERDICT_HELP = {
  approve: 'countersign a plan with your own key (or as an approval agent, with its own: keys/agents/<agent>.key)',
  reject: 'refuse a plan with your own key',
} as const;

/** A command that a person acts by, with their own key. */
export function personal(command: Command): Command {
  return withCommonOptions(command)
    .requiredOption('--as <person>', 'who you are, as the configuration names you')
    .option('--key <file>', 'your private key (default: keys/people/<person>.key beside the configuration)')
    .option('--yes', 'don’t ask');
}

async function list({ store, views }: Countersign, options: ListOptions) {
  const limit = Number(options.limit);
  if (!Number.isInteger(limit) || limit < 1 || limit > 1000)
    throw new UsageError(`--limit ${options.limit} is no number from 1 to 1000.`, 'Leave it out for 50.');
  const state = PLAN_STATES.find((known) => known === options.state);
  if (options.state !== undefined && state === undefined)
    throw new UsageError(`There is no state ${options.state}.`, `There are ${PLAN_STATES.join(', ')}.`);
  const records = await listPlans(store, {
    limit,
    ...(options.task === undefined ? {} : { task: asId<TaskId>(options.task) }),
    ...(state === undefined ? {} : { state }),
  });
  const plans = await Promise.all(records.map((record) => views.of(record)));
  const lines = plans.map(
    (view) =>
      `${shortId(view.id)}  ${coloured(view.state)}  ${view.plan.target}  ${view.plan.actor}  ${firstLine(view)}\n              ${pc.dim(describeEffect(view.plan))}`,
  );
  return { json: { plans: plans.map(summary) }, text: lines.join('\n') || 'No plans. What is held appears here.' };
}

function firstLine({ plan }: PlanView): string {
  const text = plan.statements.map((statement) => statement.text.replaceAll(/\s+/g, ' ').trim()).join('; ');
  return text.length > 80 ? `${text.slice(0, 79)}…` : text;
}

function coloured(state: PlanState): string {
  const padded = state.padEnd(13);
  switch (state) {
    case 'held':
      return pc.yellow(padded);
    case 'approved':
    case 'applied':
      return pc.green(padded);
    case 'indeterminate':
    case 'failed':
      return pc.red(padded);
    default:
      return pc.dim(padded);
  }
}

function summary(view: PlanView) {
  const { plan } = view;
  return {
    id: view.id,
    state: view.state,
    task: plan.task,
    actor: plan.actor,
    target: plan.target,
    environment: plan.environment,
    statements: plan.statements.map((statement) => statement.text),
    effect: describeEffect(plan),
    approvals: view.approvals,
    approvalsMissing: view.approvalsMissing,
    waitsFor: view.waitsFor,
    createdAt: plan.createdAt,
    expiresAt: plan.expiresAt,
  };
}

async function show(countersign: Countersign, named: string, { as }: PersonOptions) {
  const person = as === undefined ? undefined : personNamed(countersign, as, 'plan.read');
  const view = await findPlan(countersign, named);
  if (person !== undefined) await seen(countersign, view, person.id);
  return { json: view, text: planText(view, countersign) };
}

/** @throws RefusalError for what names no plan, or several. */
export async function findPlan({ store, views }: Countersign, named: string): Promise<PlanView> {
  const id = await planNamed(store, named);
  if (id === 'several')
    throw new RefusalError({
      refused: 'denied',
      message: `Several plans begin with ${named}.`,
      hint: 'Give more digits of its id.',
    });
  const record = id === 'none' ? undefined : await getPlan(store, id);
  if (record === undefined)
    throw new RefusalError({
      refused: 'denied',
      message: `There is no plan ${named}.`,
      hint: '`countersign plan list` shows them.',
    });
  return views.of(record);
}

export function planText(view: PlanView, { config, rules }: Countersign): string {
  const owner = config.environments.get(view.plan.environment)?.owner;
  const id = shortId(view.id);
  const next: Partial<Record<PlanState, string>> = {
    held: `countersign plan approve ${id} --as PERSON      or: reject`,
    approved: `countersign plan apply ${id} --as PERSON      or the agent sends its statement again`,
  };
  const approvals = view.approvals.map(
    ({ person, agentOf, inPlaceOf, at, reason, via }) =>
      `          ${describeSigner({ person, agentOf })}${inPlaceOf === undefined ? '' : `, in the place of ${inPlaceOf},`} at ${at}${via === undefined ? '' : ', by a click in Slack: attested by the gateway, not signed'}${reason === '' ? '' : `: ${reason}`}`,
  );
  return [
    `${pc.bold(`Plan ${id}`)}  ${coloured(view.state).trimEnd()}${view.note === null ? '' : `  ${view.note}`}`,
    pc.dim(`          ${view.id}`),
    ...renderPlan(view.plan).map(emphasised),
    `approvals ${view.approvals.length} given${view.approvalsMissing > 0 ? `, ${view.approvalsMissing} missing` : ', enough'}${owner === undefined ? '' : `; ${view.plan.environment} is ${owner}’s`}`,
    ...approvals,
    ...glassLines(view),
    ...timeLines(view, rules(view.plan.target)?.changeTime()),
    `expires   ${view.plan.expiresAt}`,
    ...(next[view.state] === undefined ? [] : ['', `${pc.dim('next')}      ${next[view.state]}`]),
  ].join('\n');
}

/** Who acts on it alone, and whether anybody has looked at that. */
function glassLines({ glass }: PlanView): readonly string[] {
  if (glass === undefined) return [];
  const { person, until, standsInFor, incident, reviewedBy, reason } = glass;
  return [
    pc.red(`GLASS BROKEN by ${person}, without: ${standsInFor.join(', ')}`),
    `          ${visible(reason)}`,
    `          only ${person} applies it so, until ${until}; ${incident}, ${reviewedBy === null ? 'not reviewed' : `reviewed by ${reviewedBy}`}`,
  ];
}

/** What the plan waits for besides people, or else until when the time is right. */
function timeLines(view: PlanView, time: ChangeTime | undefined): readonly string[] {
  if (view.state !== 'held' && view.state !== 'approved') return [];
  const seenMs = Date.parse(view.seenAt);
  if (view.waitsFor.length > 0) return view.waitsFor.map((one) => `waits for ${describeObligation(one, seenMs)}`);
  return time === undefined ? [] : describeChangeTime(time, seenMs).map((said) => `time      ${said}`);
}

function emphasised(line: string): string {
  if (line.startsWith('-')) return pc.red(line);
  if (line.startsWith('+')) return pc.green(line);
  return line.replace(/NONE:|NOT MEASURED:|tier production/, (word) => pc.red(word));
}

async function decide(
  countersign: Countersign,
  named: string,
  options: PersonOptions & { readonly verdict: 'approve' | 'reject' },
) {
  const agent = approvalAgentNamed(countersign, options.as ?? '', 'plan.decide');
  if (agent !== undefined) {
    const view = await findPlan(countersign, named);
    return decided(countersign, agent.id, options.verdict, approvedByAgent(countersign, agent, view, options));
  }
  const person = personNamed(countersign, options.as ?? '', 'plan.decide');
  const view = await findPlan(countersign, named);
  const key = keyOf(countersign, person, options.key);
  if (asks(options)) await seen(countersign, view, person.id);
  if (
    await declined(
      options,
      `${planText(view, countersign)}\n`,
      options.verdict === 'approve' ? 'Countersign this plan?' : 'Reject this plan?',
    )
  )
    return undecided();
  const statement: ApprovalStatement = {
    type: 'https://countersign.dev/approval/v1',
    plan: view.id,
    environment: view.plan.environment,
    identity: digestOf(view.plan.identity as unknown as Json),
    person: person.id,
    ...standInOf(person, view, await countersign.delegations.standing(view.plan.environment)),
    verdict: options.verdict,
    reason: options.reason ?? '',
    at: instantOf(countersign.clock.now()),
  };
  return decided(countersign, person.id, options.verdict, signApproval(statement, key));
}

async function decided(
  countersign: Countersign,
  who: ActorId,
  verdict: 'approve' | 'reject',
  envelope: ApprovalEnvelope,
) {
  const { plan } = orRefused(await countersign.receiveVerdict(envelope));
  const missing = plan.approvalsMissing > 0 ? `; ${plan.approvalsMissing} more must countersign` : '';
  const text =
    verdict === 'reject'
      ? `Plan ${shortId(plan.id)} is rejected.`
      : `${who} countersigned plan ${shortId(plan.id)}: it is ${plan.state}${missing}.${plan.state === 'approved' ? `\n→ countersign plan apply ${shortId(plan.id)} --as ${countersign.people.has(who) ? who : 'PERSON'}, or the agent sends its statement again.` : ''}`;
  return {
    json: { plan: plan.id, state: plan.state, approvals: plan.approvals, approvalsMissing: plan.approvalsMissing },
    text,
  };
}

async function apply(countersign: Countersign, named: string, options: PersonOptions) {
  const person = personNamed(countersign, options.as ?? '', 'plan.apply');
  const view = await findPlan(countersign, named);
  if (view.state === 'approved' && (await declined(options, `${planText(view, countersign)}\n`, 'Apply this plan?')))
    return undecided();
  await countersign.announce({ pg: '', http: '' });
  if (view.state === 'applying' || view.state === 'indeterminate') await countersign.recover();
  const reply = await countersign.applyPlan(view.id, { person: person.id });
  if (reply.reply === 'refused') throw new RefusalError(reply.refusal);
  const said = reply.already ? 'had been applied before: once only' : 'is applied';
  return {
    json: { plan: view.id, state: reply.plan.state, already: reply.already, effect: describeEffect(view.plan) },
    text: `Plan ${shortId(view.id)} ${said}.\n  ${describeEffect(view.plan)}`,
  };
}

function asks({ yes, json }: PersonOptions): boolean {
  return yes !== true && json !== true && process.stdin.isTTY && process.stdout.isTTY;
}

/** Asks where there is somebody to ask; a script has decided already. */
export async function declined(options: PersonOptions, shown: string, question: string): Promise<boolean> {
  if (!asks(options)) return false;
  process.stdout.write(`${shown}\n`);
  const sure = await confirm({ message: question, initialValue: false });
  return isCancel(sure) || !sure;
}

export function undecided() {
  return { json: { decided: false }, text: 'Nothing was done.', exit: EXIT.refused };
}

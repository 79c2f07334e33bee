import { randomBytes } from 'node:crypto';
import { affectedTables, baseObjects } from '../analysis/affected-objects.ts';
import type { Held } from '../domain/decision.ts';
import { digestOf, type Json } from '../domain/digest.ts';
import { rowsChanged } from '../domain/effect.ts';
import { instantOf } from '../domain/ids.ts';
import type { Channel } from '../domain/intent.ts';
import { isLive, type Measurement, type Plan, type PlanRecord, shortId } from '../domain/plan.ts';
import type { Refusal } from '../domain/refusal.ts';
import type { Task } from '../domain/task.ts';
import type { Measured } from '../engines/engine.ts';
import type { WrittenStatement } from '../execution/transaction.ts';
import { describeEffect } from '../planning/describe-effect.ts';
import { undoPath } from '../planning/undo-path.ts';
import { insertPlan, livePlan } from '../store/plans.ts';
import type { Store } from '../store/store.ts';
import type { ApplyPlan } from './apply-plan.ts';
import { commitment } from './commitment.ts';
import type { GovernedTarget } from './governed-target.ts';
import type { Outcome } from './outcome.ts';
import { plannedWrites } from './planned-writes.ts';
import type { Proof } from './proof.ts';
import { CALLED_OFF } from './session-refusals.ts';
import type { Step, Watch } from './watch.ts';

/** Turns what may not run now into a plan: measured on the real data, nothing changed (G2). */
export type Hold = (request: HoldRequest) => Promise<Outcome>;

export interface HoldRequest {
  readonly task: Task;
  readonly channel: Channel;
  readonly writes: readonly WrittenStatement[];
  readonly settings: readonly { readonly name: string; readonly value: string }[];
  readonly decision: Held;
  /** The actor holds a transaction open, whose locks an apply would wait for: an approved plan is not applied now. */
  readonly insideTransaction?: boolean;
  readonly watch?: Watch | undefined;
}

export function createHold(deps: {
  readonly target: GovernedTarget;
  readonly store: Store;
  readonly proof: Proof;
  readonly applyPlan: ApplyPlan;
  readonly now: () => number;
}): Hold {
  const { target, store, proof } = deps;

  return async (asked) => {
    const writes = plannedWrites(asked.writes);
    if ('refused' in writes) return { outcome: 'refused', refusal: writes };
    const request = { ...asked, settings: withSearchPath(asked.settings), writes };
    const wish = wishOf(request);
    const known = await livePlan(store, request.task.id, digestOf(wish));
    if (known !== undefined && isLive(known, deps.now())) return again(known, request);

    const measured = await measure(request);
    if (request.watch?.signal.aborted) return { outcome: 'refused', refusal: CALLED_OFF };
    if (measured.failure !== undefined) return { outcome: 'failed', failure: measured.failure };
    const effects = request.writes.flatMap((write) => write.analysis.effects);
    const measurement = attributed(measured.measurement, request);
    const decision = target.decidePlan({
      task: request.task,
      channel: request.channel,
      effects,
      measurement,
      approvals: 0,
    });
    if (decision.decision === 'deny') return { outcome: 'refused', refusal: target.denial(decision) };
    // What a person is asked is the stronger of what held the statement and what its measured effect asks for.
    const held = decision.decision === 'hold' ? decision : request.decision;
    const nowMs = deps.now();
    const plan: Plan = {
      version: 1,
      task: request.task.id,
      actor: request.task.agent,
      onBehalfOf: request.task.onBehalfOf,
      purpose: request.task.purpose,
      channel: request.channel,
      target: target.id,
      environment: target.environment.id,
      tier: target.environment.tier,
      identity: measured.identity,
      statements: request.writes.map((write) => write.statement),
      settings: request.settings,
      effects,
      measurement,
      baseState: measured.baseState,
      undo: undoPath(effects, measurement),
      held: { policies: held.policies, missing: held.missing },
      policyDigest: held.policyDigest,
      createdAt: instantOf(nowMs),
      expiresAt: instantOf(nowMs + target.environment.planLifetimeMs),
      nonce: randomBytes(16).toString('base64url'),
    };
    const id = digestOf(plan as unknown as Json);
    request.watch?.step('recording');
    await proof.record({
      kind: 'plan',
      subject: id,
      body: planEntry(id, plan, request.writes),
      writes: [insertPlan({ id, plan, wish: digestOf(wish), at: plan.createdAt })],
    });
    return { outcome: 'refused', refusal: heldRefusal({ id, plan, state: 'held', note: null }) };
  };

  /** Names mean what the session's search path says; the login that tries and applies the plan has another of its own. */
  function withSearchPath(settings: HoldRequest['settings']): HoldRequest['settings'] {
    if (settings.some(({ name }) => name.toLowerCase() === 'search_path')) return settings;
    const value = target
      .catalogue()
      .searchPath.map((schema) => `"${schema.replaceAll('"', '""')}"`)
      .join(', ');
    return [...settings, { name: 'search_path', value }];
  }

  /** The same wish again, in the same task: an approved plan is applied, a waiting one is named again. */
  async function again(record: PlanRecord, request: HoldRequest): Promise<Outcome> {
    if (record.state === 'held') return { outcome: 'refused', refusal: heldRefusal(record) };
    if (request.insideTransaction) return { outcome: 'refused', refusal: endTransactionFirst(record) };
    const reply = await deps.applyPlan(record.id, { task: request.task });
    if (reply.reply === 'refused') return { outcome: 'refused', refusal: reply.refusal };
    const people = reply.plan.approvals.map((approval) => approval.person).join(', ');
    return {
      outcome: 'applied',
      command: commandTag(record.plan, request.writes.at(-1)?.analysis.command ?? ''),
      notice: `Plan ${record.id} was applied, countersigned by ${people}.`,
    };
  }

  function measure(request: HoldRequest): Promise<Measured> {
    const { watch } = request;
    const analyses = request.writes.map((write) => write.analysis);
    const catalogue = target.catalogue();
    const untriable = analyses.map(whyUntriable).find((why) => why !== undefined);
    return target.engine.measure({
      statements: request.writes.map((write) => write.statement),
      settings: request.settings,
      tables: [...new Set(analyses.flatMap((analysis) => affectedTables(analysis, catalogue)))],
      baseObjects: [...new Set(analyses.flatMap((analysis) => baseObjects(analysis)))],
      ...(untriable === undefined ? {} : { untriable }),
      bounds: target.measureBounds,
      ...(watch === undefined ? {} : { signal: watch.signal, onTrial: (trial) => watch.step(TRIALS[trial]) }),
    });
  }

  function attributed(measurement: Measurement, request: HoldRequest): Measurement {
    if (!measurement.measured) return measurement;
    const effects = request.writes.flatMap((write) => write.analysis.effects);
    return {
      measured: true,
      effect: { ...measurement.effect, tables: target.attribute(measurement.effect.tables, effects) },
    };
  }
}

const TRIALS = { first: 'dry run', second: 'second dry run' } as const satisfies Record<string, Step>;

function whyUntriable(analysis: WrittenStatement['analysis']): string | undefined {
  if (analysis.class.kind === 'change' && !analysis.class.transactional) {
    return `${analysis.command} can't run inside a transaction, so it can't be tried and rolled back`;
  }
  const [first] = analysis.unknown;
  if (first !== undefined) return `its effect is not known: ${analysis.unknown.join(', ')}`;
  return undefined;
}

/** What makes two requests of one task the same wish. */
function wishOf(request: HoldRequest): Json {
  return {
    statements: request.writes.map(({ statement }) => ({
      text: statement.text,
      parameters: statement.parameters.map((parameter) => ({ ...parameter })),
    })),
    settings: request.settings.map((setting) => ({ ...setting })),
  };
}

function planEntry(id: string, plan: Plan, writes: readonly WrittenStatement[]): Json {
  return {
    plan: id,
    task: plan.task,
    actor: plan.actor,
    onBehalfOf: plan.onBehalfOf,
    target: plan.target,
    environment: plan.environment,
    identity: digestOf(plan.identity as unknown as Json),
    channel: plan.channel,
    statements: writes.map(({ statement, analysis }) => ({
      shape: analysis.shape,
      command: analysis.command,
      ...commitment(statement),
    })),
    decision: 'hold',
    policies: plan.held.policies.map((reason) => reason.policy),
    policyDigest: plan.policyDigest,
    measured: plan.measurement.measured
      ? {
          rows: rowsChanged(plan.measurement.effect.tables),
          tables: plan.measurement.effect.tables.map((table) => ({ ...table })),
          objects: plan.measurement.effect.objects.map((object) => ({ ...object })),
          digest: plan.measurement.effect.digest,
        }
      : null,
    expiresAt: plan.expiresAt,
  };
}

/** The answer to an actor whose statement was held: stop, what it would have done, who can decide, what to do next. */
export function heldRefusal(record: PlanRecord): Refusal {
  const { plan } = record;
  const approvals = plan.held.missing.find((missing) => missing.obligation === 'approvals');
  const count = approvals?.obligation === 'approvals' ? approvals.count : 1;
  return {
    refused: 'held',
    message: `Held for ${count === 1 ? 'a person' : `${count} people`} to countersign: nothing was changed.`,
    detail: [`Plan ${record.id}`, describeEffect(plan), ...plan.held.policies.map((policy) => policy.reason)].join(
      '\n',
    ),
    hint: `Stop and ask. A person decides with: countersign plan show ${shortId(record.id)}. After approval send the identical statement again in this task, or apply the plan.`,
    plan: record.id,
  };
}

function endTransactionFirst(record: PlanRecord): Refusal {
  return {
    refused: 'held',
    message: 'The plan is approved, but it is not applied inside an open transaction.',
    hint: 'End the transaction, then send the statement again.',
    plan: record.id,
  };
}

/** The tag that the database would have answered with. */
function commandTag(plan: Plan, command: string): string {
  if (!plan.measurement.measured) return command;
  const direct = plan.measurement.effect.tables.filter((table) => table.via === 'direct');
  const count = (key: 'inserted' | 'updated' | 'deleted') => direct.reduce((sum, table) => sum + table[key], 0);
  switch (command) {
    case 'INSERT':
      return `INSERT 0 ${count('inserted')}`;
    case 'UPDATE':
      return `UPDATE ${count('updated')}`;
    case 'DELETE':
      return `DELETE ${count('deleted')}`;
    case 'MERGE':
      return `MERGE ${rowsChanged(direct)}`;
    default:
      return command;
  }
}

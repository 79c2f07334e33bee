import { randomBytes } from 'node:crypto';
import type { Allowed, Held, Obligation } from '../domain/decision.ts';
import { digestOf, type Json } from '../domain/digest.ts';
import { rowsChanged } from '../domain/effect.ts';
import { type ActorId, type Digest, instantOf } from '../domain/ids.ts';
import type { Channel, Statement } from '../domain/intent.ts';
import type { Plan, PlanRecord, UndoPath } from '../domain/plan.ts';
import type { Task } from '../domain/task.ts';
import type { Measured } from '../engines/engine.ts';
import { GuardFailed } from '../ledger/ledger.ts';
import { rowsOf } from '../planning/rows-of.ts';
import { undoPath } from '../planning/undo-path.ts';
import { insertPlan, layAside, noneApproved } from '../store/plans.ts';
import { reserveRows } from '../store/tasks.ts';
import type { GovernedTarget } from './governed-target.ts';
import { keepSalts, type Told, withoutSalts } from './openings.ts';
import type { Proof } from './proof.ts';

/** What a plan is made of, once it has been measured. */
export interface Draft
  extends Pick<Measured, 'measurement' | 'identity' | 'baseState'>,
    Pick<Plan, 'settings' | 'effects' | 'undoes' | 'merges' | 'purges'> {
  readonly task: Task;
  readonly channel: Channel;
  readonly statements: readonly Statement[];
  /** What the ledger is to know of each statement: none of its constants. */
  readonly told: readonly Told[];
  readonly wish: Digest;
}

export interface RecordPlanDeps {
  readonly target: GovernedTarget;
  readonly proof: Proof;
  readonly now: () => number;
}

/**
 * Makes a plan and writes it down with its proof. Nothing is missing of what policy allows; whether the task's rows
 * suffice for it shows when it takes them.
 */
export async function recordPlan(deps: RecordPlanDeps, draft: Draft, decision: Held | Allowed): Promise<PlanRecord> {
  const { target, proof } = deps;
  const { task, measurement, effects, wish, undoes, merges, purges } = draft;
  const missing = decision.decision === 'hold' ? decision.missing : [];
  const state = decision.decision === 'hold' ? 'held' : 'approved';
  const nowMs = deps.now();
  const proven = target.provenBackup();
  const drift = target.drift();
  const plan: Plan = {
    version: 1,
    task: task.id,
    actor: task.agent,
    onBehalfOf: task.onBehalfOf,
    purpose: task.purpose,
    channel: draft.channel,
    target: target.id,
    environment: target.environment.id,
    tier: target.environment.tier,
    identity: draft.identity,
    statements: draft.statements,
    settings: draft.settings,
    effects,
    measurement,
    baseState: draft.baseState,
    undo: undoPath(effects, measurement),
    ...(proven === undefined ? {} : { backup: proven }),
    ...(drift === null ? {} : { drift }),
    ...(undoes === undefined ? {} : { undoes }),
    ...(merges === undefined ? {} : { merges }),
    ...(purges === undefined ? {} : { purges }),
    held: { policies: decision.policies, missing },
    policyDigest: decision.policyDigest,
    createdAt: instantOf(nowMs),
    expiresAt: instantOf(expiryOf(missing, nowMs, target.environment.planLifetimeMs)),
    nonce: randomBytes(16).toString('base64url'),
  };
  const id = digestOf(plan as unknown as Json);
  try {
    await proof.record({
      kind: 'plan',
      subject: id,
      body: planEntry(id, plan, decision, { told: draft.told, owner: target.engine.target.owner }),
      writes: [
        insertPlan({ id, plan, wish, state, at: plan.createdAt }),
        ...keepSalts(id, draft.told),
        ...(state === 'held'
          ? []
          : [
              reserveRows(task.id, rowsOf(plan)),
              noneApproved(task.id, wish, plan.createdAt, id),
              layAside(task.id, wish, { note: ALLOWED_NOW, at: plan.createdAt }),
            ]),
      ],
    });
  } catch (error) {
    if (!(error instanceof GuardFailed) || decision.decision === 'hold') throw error;
    return recordPlan(deps, draft, target.overTaskLimit(task, decision));
  }
  return { id, plan, state, note: null };
}

const ALLOWED_NOW = 'policy asks nobody for it any more: it was sent again and applied';

/** Never long after it was measured: what a person signed must not be what nobody remembers. */
const MAX_LIFETIME_MS = 14 * 86_400_000;

/** A plan that has to wait for its time is not over before that time has come, and been. */
function expiryOf(missing: readonly Obligation[], nowMs: number, lifetimeMs: number): number {
  const waits = missing.map((obligation) => {
    if (obligation.obligation === 'after freeze') return Date.parse(obligation.until) + lifetimeMs;
    if (obligation.obligation === 'in window' && obligation.next !== null) return Date.parse(obligation.next.closes);
    return 0;
  });
  return Math.max(nowMs + lifetimeMs, Math.min(Math.max(0, ...waits), nowMs + MAX_LIFETIME_MS));
}

/** Statements stay on the plan, which binds them by its digest and can be emptied: the ledger can't. */
function undoTold(undo: UndoPath): Json {
  return undo.undo === 'statements' ? { undo: undo.undo, statements: undo.statements.length } : { ...undo };
}

function planEntry(
  id: string,
  plan: Plan,
  { decision }: Held | Allowed,
  { told, owner }: { readonly told: Draft['told']; readonly owner: ActorId },
): Json {
  return {
    plan: id,
    task: plan.task,
    actor: plan.actor,
    onBehalfOf: plan.onBehalfOf,
    target: plan.target,
    owner,
    environment: plan.environment,
    identity: digestOf(plan.identity as unknown as Json),
    channel: plan.channel,
    statements: withoutSalts(told),
    verbs: [...new Set(plan.effects.map(({ verb }) => verb))],
    ...(plan.undoes === undefined
      ? {}
      : {
          undoes: plan.undoes.change,
          askedBy: plan.undoes.askedBy,
          keepNewer: plan.undoes.keepNewer,
          newer: plan.undoes.newer.length,
        }),
    ...(plan.merges === undefined
      ? {}
      : {
          merges: plan.merges.branch,
          copiedAt: plan.merges.copiedAt,
          askedBy: plan.merges.askedBy,
          keepNewer: plan.merges.keepNewer,
          newer: plan.merges.newer.length,
        }),
    ...(plan.purges === undefined ? {} : { purges: plan.purges.change, askedBy: plan.purges.askedBy }),
    decision,
    policies: plan.held.policies.map((reason) => reason.policy),
    policyDigest: plan.policyDigest,
    missing: plan.held.missing as unknown as Json,
    measured: plan.measurement.measured
      ? {
          rows: rowsChanged(plan.measurement.effect.tables),
          tables: plan.measurement.effect.tables.map((table) => ({ ...table })),
          objects: plan.measurement.effect.objects.map((object) => ({ ...object })),
          digest: plan.measurement.effect.digest,
        }
      : null,
    undo: undoTold(plan.undo),
    ...(plan.backup === undefined ? {} : { backup: { ...plan.backup } }),
    ...(plan.drift === undefined ? {} : { drift: { ...plan.drift } }),
    expiresAt: plan.expiresAt,
  };
}

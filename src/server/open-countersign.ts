import { createHmac, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Config } from '../config/load.ts';
import type { Person } from '../domain/actor.ts';
import { isBranchId } from '../domain/branch.ts';
import { type Clock, systemClock } from '../domain/clock.ts';
import { type ActorId, asId, instantOf, type TargetId } from '../domain/ids.ts';
import type { Plan } from '../domain/plan.ts';
import { type Refusal, RefusalError } from '../domain/refusal.ts';
import type { Task } from '../domain/task.ts';
import type { KeepBounds } from '../engines/engine.ts';
import { createIdentity, type Identity } from '../identity/identity.ts';
import { type Ledger, openLedger } from '../ledger/ledger.ts';
import { loadSigningKey } from '../ledger/signing-key.ts';
import { type Agreement, createAgreement } from '../pipeline/agreement.ts';
import { type ApplyPlan, createApplyPlan } from '../pipeline/apply-plan.ts';
import { type ApprovalAgents, createApprovalAgents } from '../pipeline/approval-agents.ts';
import { type Branches, createBranches, noBranch } from '../pipeline/branches.ts';
import { type Breakers, createBreakers } from '../pipeline/breakers.ts';
import { createChangeReader } from '../pipeline/change-facts.ts';
import { type Changes, createChanges } from '../pipeline/changes.ts';
import type { KnownTarget } from '../pipeline/create-gateway.ts';
import { createDelegations, type Delegations } from '../pipeline/delegations.ts';
import { createDrifts, type Drifts } from '../pipeline/drift.ts';
import { createDrills } from '../pipeline/drills.ts';
import type { GovernedTarget } from '../pipeline/governed-target.ts';
import { createHalts, type HaltSubject, type Halts } from '../pipeline/halts.ts';
import { holdLease, type Lease } from '../pipeline/lease.ts';
import { type Observer, UNOBSERVED } from '../pipeline/observer.ts';
import { createKnownPasskeys } from '../pipeline/passkeys.ts';
import { createPlanViews, type PlanViews } from '../pipeline/plan-view.ts';
import { createProof, type Log, type Proof } from '../pipeline/proof.ts';
import { type Recovered, recover } from '../pipeline/recover.ts';
import type { TargetRules } from '../pipeline/target-rules.ts';
import { createTasks, type Tasks } from '../pipeline/tasks.ts';
import { createReceiveVerdict, type ReceiveVerdict } from '../pipeline/verdicts.ts';
import { createVouchers, type Vouchers } from '../pipeline/vouchers.ts';
import type { PolicySet } from '../policy/policy-set.ts';
import { steadyClock } from '../policy/steady-clock.ts';
import { machineName } from '../store/machine.ts';
import { announceNode, forgetSilentNodes, removeNode } from '../store/nodes.ts';
import { openStore } from '../store/open-store.ts';
import type { Store, StoreOptions } from '../store/store.ts';
import { copiesOf } from './copies-of.ts';
import { createGovernedTargets } from './governed-targets.ts';
import { governingDigest } from './governing-digest.ts';
import { inForce } from './in-force.ts';
import type { Governance } from './load-governance.ts';
import { standForWitnesses } from './unwitnessed.ts';

/**
 * Countersign without channels: what a command works with, and what the gateway is built on. Several processes may have
 * it open at once; they share the state file and see each other's work.
 */
export interface Countersign {
  /** What governs now; a reload changes it, and with it all that follows from it. */
  readonly governance: Governance;
  readonly config: Config;
  readonly clock: Clock;
  readonly log: Log;
  readonly policies: PolicySet;
  readonly store: Store;
  readonly ledger: Ledger;
  readonly proof: Proof;
  readonly people: ReadonlyMap<ActorId, Person>;
  readonly tasks: Tasks;
  readonly halts: Halts;
  readonly vouchers: Vouchers;
  readonly drifts: Drifts;
  readonly breakers: Breakers;
  readonly delegations: Delegations;
  readonly approvalAgents: ApprovalAgents;
  readonly agreement: Agreement;
  readonly views: PlanViews;
  readonly observer: Observer;
  readonly receiveVerdict: ReceiveVerdict;
  readonly applyPlan: ApplyPlan;
  readonly changes: Changes;
  readonly branches: Branches;
  readonly identity: Identity;
  readonly targets: ReadonlyMap<TargetId, KnownTarget>;
  rules(target: string): TargetRules | undefined;
  /** Why a task may not go on on a target: one of the two is no longer configured. */
  over(task: Task, target: TargetId): Refusal | undefined;
  /** Targets that can be reached now, and how long each keeps rows for undo. */
  keepingTargets(): Promise<readonly { readonly target: GovernedTarget; readonly bounds: KeepBounds }[]>;
  /** Opens the target's engine when it is first needed. What can't be opened is tried anew the next time. */
  target(id: TargetId): Promise<GovernedTarget | Refusal>;
  /** Finds out how work ended that a process which died had begun (G6). */
  recover(): Promise<readonly Recovered[]>;
  /** Writes to the state, and looks whether its ledger is what was signed. @throws when either can't be. */
  check(): Promise<void>;
  /** From now on everything is decided by this; what was decided before is forgotten. */
  bringIntoForce(next: Governance): void;
  /** Tells the others by what is decided from now on; until it could, a gateway that shares its state decides nothing. */
  agree(): Promise<void>;
  /** Lets go of the databases that are no longer configured. */
  closeGoneTargets(): Promise<void>;
  /** Takes its policies into force, and lets other processes know from then on that this one lives, and where it listens. */
  announce(addresses: { readonly pg: string; readonly http: string }): Promise<void>;
  close(): Promise<void>;
}

/** Gateways on one machine look at the same files, and load them anew by themselves. */
const FOLLOW_WITHIN_MS = 3000;

/** @throws StoreUnavailable, LedgerCorrupt, or Error for a key that can't be used. */
export async function openCountersign(
  governance: Governance,
  log: Log,
  {
    clock = systemClock,
    observer = UNOBSERVED,
    mayWait = false,
  }: { readonly clock?: Clock; readonly observer?: Observer } & Pick<StoreOptions, 'mayWait'> = {},
): Promise<Countersign> {
  const { config } = governance;
  const key = loadSigningKey(config.ledgerKey, config.origin);
  const store = await openStore(config.state, { mayWait });
  const ledger = await openLedger({ store, key, clock, onAppended: observer.appended });
  const node = `node_${randomBytes(8).toString('hex')}@${machineName()}`;
  const proof = observer.proving(createProof({ ledger, clock, node, log }));
  const halts = await createHalts({ store, proof });
  const now = () => clock.now();
  const drills = await createDrills(store);
  const drifts = await createDrifts({
    store,
    proof,
    target: (id) => target(id),
    question(id) {
      const configured = governing.config.targets.get(id)?.target;
      if (configured === undefined) return undefined;
      const { environment, identity } = configured;
      return { target: id, environment, identity, people: governing.people };
    },
  });
  const passkeys = await createKnownPasskeys({ store, verifierKey: ledger.verifierKey });
  const { withPasskeys } = passkeys;
  const parts = {
    withPasskeys,
    provenBackup: drills.proven,
    drift: drifts.known,
    gatewayKey: key.publicKey,
    watched: observer.deciding,
    clock: steadyClock(clock),
    now,
  };
  /** Read anew for every question, so that all of it is one edition. */
  let governing = inForce(governance, parts);
  const agreement = createAgreement({
    store,
    proof,
    digest: () => governingDigest(governing.governance.config, governing.governance.policies.digest),
    followWithinMs: store.leaseMs === null ? FOLLOW_WITHIN_MS : 0,
    onStanding: (outdated) => halts.standDown('outdated policies', outdated),
  });
  const vouchers = await createVouchers({
    store,
    proof,
    questions: () =>
      [...governing.config.targets.values()].map(({ target: { id, environment, identity } }) => ({
        target: id,
        environment,
        identity,
        people: governing.people,
      })),
  });
  const heedWitnesses = standForWitnesses({ config: governing.governance.config, store, ledger, clock, halts });
  await heedWitnesses?.();
  // A command, too, decides nothing by policies that are no longer those of the gateways.
  if (store.leaseMs !== null) await agreement.check();
  const breakers = createBreakers({
    store,
    proof,
    halts,
    configured: () => governing.config.breakers,
    rowsPerTask: (agent) => governing.actor(asId(agent))?.role.maxRowsPerTask,
    owner({ agent, target: id }) {
      if (id !== undefined) return governing.config.targets.get(asId(id))?.target.owner ?? null;
      return governing.actor(asId(agent ?? ''))?.actor.owner ?? null;
    },
    now,
  });
  /** Only who serves stops others: a command that reaches the wrong server is told so, and that is all. */
  function seenElsewhere(id: TargetId, error: unknown): void {
    if (announced === undefined || !(error instanceof RefusalError) || error.refusal.refused !== 'identityMismatch')
      return;
    breakers
      .misplaced(id, error.refusal)
      .catch((failed: unknown) => log.error({ err: failed, target: id }, 'a breaker could not stop a target'));
  }
  function rules(id: string): TargetRules | undefined {
    const branch = branches.known(asId(id));
    return branch === undefined ? governing.rules.get(asId(id)) : governing.branchRules(branch);
  }

  /** Who halts a target halts what works in its branches. */
  const declaredOn = (id: TargetId): TargetId => branches.known(id)?.of ?? id;

  function over(task: Task, id: TargetId): Refusal | undefined {
    if (!isBranchId(id)) return governing.over(task, id);
    const branch = branches.known(id);
    return branch === undefined ? noBranch(id) : governing.over(task, branch.of);
  }

  const delegations = createDelegations({
    store,
    proof,
    people: () => governing.people,
    longestMs: () => governing.config.delegationMs,
    now,
  });
  const approvalAgents = createApprovalAgents({ actors: () => governing.config.actors, rules, halts });
  const views = createPlanViews({ store, rules, delegations, approvalAgents, now });
  const receiveVerdict = observer.approving(
    createReceiveVerdict({ store, proof, views, rules, delegations, approvalAgents, now }),
  );
  const startedAt = instantOf(clock.now());
  let announced: { readonly pg: string; readonly http: string } | undefined;
  let lease: Lease | undefined;

  async function heartBeat(): Promise<void> {
    if (announced === undefined) return;
    const self = { id: node, pid: process.pid, ...announced, startedAt };
    const nowMs = await store.nowMs();
    await store.commit([announceNode(self, nowMs), forgetSilentNodes(nowMs)]);
  }

  const branches = await createBranches({
    store,
    proof,
    views,
    copies(of) {
      const configured = governing.config.targets.get(of);
      return configured === undefined ? undefined : copiesOf(configured);
    },
    target: (id) => targets.open(id),
    environmentOf: (id) => governing.targets.get(id)?.environment.id,
    stopped: (task, id) => halts.covering({ agent: task.agent, task: task.id, target: id }) ?? governing.over(task, id),
    now,
  });

  const targets = createGovernedTargets({
    config: () => governing.config,
    branch: branches.known,
    rules,
    vouchers,
    observer,
    onUnreached: seenElsewhere,
    log,
  });
  const target = targets.open;

  /** Reads again what other processes may have changed. */
  async function refresh(): Promise<void> {
    const told = [halts, vouchers, drills, drifts, passkeys, branches];
    await Promise.all(told.map((one) => one.refresh()));
  }

  return {
    get governance() {
      return governing.governance;
    },
    get config() {
      return governing.config;
    },
    get policies() {
      return governing.policies;
    },
    get people() {
      return governing.people;
    },
    get targets() {
      return governing.targets;
    },
    clock,
    log,
    store,
    ledger,
    proof,
    halts,
    vouchers,
    drifts,
    breakers,
    delegations,
    approvalAgents,
    agreement,
    views,
    observer,
    rules,
    over,
    branches,
    target,
    async keepingTargets() {
      const all = [...governing.config.targets.values()].map(async ({ target: { id, undoKept } }) => {
        const opened = await target(id);
        return 'refused' in opened || undoKept === undefined ? [] : [{ target: opened, bounds: undoKept }];
      });
      return (await Promise.all(all)).flat();
    },
    tasks: createTasks({
      store,
      proof,
      now,
      agent(id) {
        const known = governing.actor(id);
        return known?.actor.kind === 'agent' ? { agent: known.actor, role: known.role } : undefined;
      },
      person: (id) => governing.people.get(id),
      environmentOf: (id) => rules(id)?.environment.id,
      stopped: (agent) => halts.covering({ agent, task: '', target: '' }),
    }),
    receiveVerdict,
    applyPlan: observer.applying(
      createApplyPlan({
        store,
        proof,
        views,
        delegations,
        approvalAgents,
        target: (record) => target(record.plan.target),
        stopped: ({ plan }) => halts.covering(subjectOf(plan, declaredOn(plan.target))),
        onStop: ({ plan }, stop) =>
          halts.watch(
            { stop: async (reason) => stop(reason), refuse: () => undefined, resume: () => undefined },
            subjectOf(plan, declaredOn(plan.target)),
          ),
        now,
      }),
    ),
    changes: createChanges({
      store,
      proof,
      views,
      reader: createChangeReader({ store, ledger }),
      target,
      stopped: ({ actor, task, target: id }) => halts.covering({ agent: actor, task, target: declaredOn(id) }),
      now,
    }),
    identity: createIdentity({
      store,
      proof,
      people: () => governing.people,
      known: passkeys,
      session: () => governing.config.session,
      oidc: () => governing.config.oidc,
      slack: () => governing.config.slack,
      delegations,
      receiveVerdict,
      ledgerKey: key,
      secret: createHmac('sha256', readFileSync(config.ledgerKey)).update('identity of people').digest(),
      now,
    }),
    async recover() {
      await branches.refresh();
      return recover({
        store,
        proof,
        isGone: (id) => isBranchId(id) && branches.known(id) === undefined,
        async engine(id) {
          const opened = await target(id);
          return 'refused' in opened ? undefined : opened.engine;
        },
      });
    },
    bringIntoForce(next) {
      governing = inForce(next, parts);
      // Whose vouchers count is the configuration's to say.
      vouchers.refresh().catch((error: unknown) => log.error({ err: error }, 'vouchers could not be read again'));
    },
    // What serves nothing has nothing to say.
    agree: async () => (announced === undefined ? undefined : agreement.adopt()),
    async closeGoneTargets() {
      await targets.closeGone((id) => governing.targets.has(id) || branches.known(id) !== undefined);
    },
    async check() {
      await heartBeat();
      await ledger.check();
    },
    async announce(addresses) {
      announced = addresses;
      // Who acts must know when to stop.
      store.onChange(() => {
        refresh().catch((error: unknown) =>
          log.error({ err: error }, 'halts and vouchers could not be read, as something has changed'),
        );
      });
      // What came since they were first read has told nobody here.
      await refresh();
      await agreement.adopt();
      lease = await holdLease({
        leaseMs: store.leaseMs,
        async renew() {
          await heartBeat();
          await heedWitnesses?.();
          // Told at once where all goes well; this finds what was not.
          if (store.leaseMs !== null) await Promise.all([refresh(), agreement.check(), ledger.check()]);
        },
        onStanding(cutOff) {
          if (cutOff === undefined) log.info({}, 'the state store answers again');
          else log.error({}, cutOff.message);
          halts
            .standDown('cut off', cutOff)
            .catch((error: unknown) => log.error({ err: error }, 'a session could not be stopped'));
        },
        onFailure: (error) => log.warn({ err: error }, 'this gateway could not say that it lives'),
      });
    },
    async close() {
      await lease?.close();
      await targets.close();
      if (lease !== undefined) await store.commit([removeNode(node)]).catch(() => undefined);
      await ledger.close();
      await store.close();
    },
  };
}

function subjectOf({ actor, task }: Plan, target: TargetId): HaltSubject {
  return { agent: actor, task, target };
}

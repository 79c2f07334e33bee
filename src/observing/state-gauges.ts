import { Gauge, type Registry } from 'prom-client';
import type { BackupFigures } from '../domain/backup.ts';
import { BREAKERS, type Breaker } from '../domain/breaker.ts';
import type { DriftState } from '../domain/drift.ts';
import type { HaltScope } from '../domain/halt.ts';
import { PLAN_STATES, type PlanState } from '../domain/plan.ts';
import type { RedTeamRun } from '../ledger/red-team-runs.ts';
import type { ActorSession } from '../pipeline/actor-session.ts';
import type { AgentDecisions, PersonDecisions } from '../pipeline/decisions.ts';
import { OUTBOX_STATES, type OutboxState } from '../store/outbox.ts';

/** What is read when the figures are asked for, and only then. */
export interface StateOfThings {
  plans(): Promise<ReadonlyMap<PlanState, number>>;
  /** When the oldest plan was made that waits for people; `null` when none waits. */
  waitingSince(): Promise<number | null>;
  /** Broken glass that nobody has looked at. */
  unreviewedIncidents(): Promise<number>;
  /** How many gateways work on this state. */
  gateways(): Promise<number>;
  halts(): readonly { readonly scope: HaltScope; readonly breaker?: Breaker }[];
  readsWaiting(): number;
  /** The files that were changed last are not in force. */
  reloadFailed(): boolean;
  /** Messages to people outside, by what became of them. */
  messages(): Promise<ReadonlyMap<OutboxState, number>>;
  /** How people decided, in the last day and in the last thirty. */
  decisions(days: 1 | 30): Promise<readonly PersonDecisions[]>;
  /** Of the last day. */
  agentDecisions(): Promise<readonly AgentDecisions[]>;
  /** The newest run of the red team for each target that had one. */
  redTeam(): Promise<readonly RedTeamRun[]>;
  /** Of the targets that have a store. */
  backups(): Promise<readonly BackupFigures[]>;
  /** How targets stood when they were looked at last. */
  drifts(): readonly DriftState[];
  needs(): Promise<readonly { readonly part: string; readonly missing: string | null }[]>;
  /** Left out where nobody cosigns checkpoints. */
  readonly witnesses?: {
    testimonies(): readonly { readonly witness: string; readonly cosigned: boolean }[];
    witnessed(): Promise<{ readonly entries: number; readonly witnessed: number }>;
  };
  /** What came of reading the whole ledger last; `null` before the first time. */
  ledgerVerdict(): 'sound' | 'tampered' | 'unreadable' | null;
  nowMs(): number;
  /** Told when something of this could not be read: its figure is then left out, and the others are there all the same. */
  onTrouble(error: unknown): void;
}

/** A state that doesn't answer must not keep from sight that it doesn't. */
const PATIENCE_MS = 3000;

/** @param openSessions kept by the caller; counted when asked. */
export function addStateGauges(
  registry: Registry,
  openSessions: ReadonlyMap<ActorSession, { readonly target: string }>,
  state: StateOfThings,
): void {
  /** What lies in the state is the same for all processes of a gateway; the rest is added up. */
  const gauge = (
    name: string,
    help: string,
    labelNames: readonly string[],
    read: (gauge: Gauge) => unknown,
    aggregator: 'first' | 'sum' = 'first',
  ) =>
    new Gauge({
      name,
      aggregator,
      help,
      labelNames,
      registers: [registry],
      async collect() {
        this.reset();
        try {
          await inTime(read(this), name);
        } catch (error) {
          state.onTrouble(error);
        }
      },
    });

  gauge(
    'countersign_sessions',
    'Sessions of actors that are open',
    ['target', 'channel'],
    (open) => {
      for (const [session, { target }] of openSessions) open.inc({ target, channel: session.channel });
    },
    'sum',
  );
  gauge(
    'db_client_connection_count',
    'Connections of sessions to the targets',
    ['db_client_connection_pool_name', 'db_client_connection_state'],
    (open) => {
      for (const [session, { target }] of openSessions) {
        const labels = { db_client_connection_pool_name: target, db_client_connection_state: 'used' };
        open.inc(labels, session.connections.all().length);
      }
    },
    'sum',
  );
  gauge('countersign_plans', 'Plans by where they stand', ['state'], async (plans) => {
    const counts = await state.plans();
    for (const name of PLAN_STATES) plans.set({ state: name }, counts.get(name) ?? 0);
  });
  gauge('countersign_oldest_waiting_plan_seconds', 'How long the oldest plan waits for people', [], async (oldest) => {
    const sinceMs = await state.waitingSince();
    oldest.set(sinceMs === null ? 0 : Math.max(0, (state.nowMs() - sinceMs) / 1000));
  });
  gauge('countersign_incidents_unreviewed', 'Broken glass that nobody has reviewed', [], async (incidents) =>
    incidents.set(await state.unreviewedIncidents()),
  );
  gauge('countersign_gateways', 'Gateways that live and work on this state', [], async (gateways) =>
    gateways.set(await state.gateways()),
  );
  gauge('countersign_halts', 'Halts in force', ['scope'], (halts) => {
    for (const scope of ['global', 'agent', 'task', 'target']) halts.set({ scope }, 0);
    for (const { scope } of state.halts()) halts.inc({ scope: scope.scope });
  });
  gauge('countersign_breakers_tripped', 'Stops by breakers that nobody has lifted', ['breaker'], (tripped) => {
    for (const breaker of BREAKERS) tripped.set({ breaker }, 0);
    for (const { breaker } of state.halts()) if (breaker !== undefined) tripped.inc({ breaker });
  });
  gauge(
    'countersign_reads_unrecorded',
    'Distinct reads that wait to be brought into the ledger',
    [],
    (reads) => reads.set(state.readsWaiting()),
    'sum',
  );
  gauge('countersign_reload_failed', 'Whether what the files say is not in force', [], (failed) =>
    failed.set(state.reloadFailed() ? 1 : 0),
  );
  gauge('countersign_ledger_verdict', 'What reading the whole ledger found last', ['verdict'], (found) => {
    const verdict = state.ledgerVerdict();
    if (verdict !== null) found.set({ verdict }, 1);
  });
  const { witnesses } = state;
  if (witnesses !== undefined) {
    gauge('countersign_witness_cosigns', 'Whether a witness cosigned when asked last', ['witness'], (cosigns) => {
      for (const { witness, cosigned } of witnesses.testimonies()) cosigns.set({ witness }, cosigned ? 1 : 0);
    });
    gauge(
      'countersign_ledger_unwitnessed_entries',
      'Entries after the newest checkpoint that enough witnesses cosigned',
      [],
      async (left) => {
        const { entries, witnessed } = await witnesses.witnessed();
        left.set(entries - witnessed);
      },
    );
  }
  gauge('countersign_messages', 'Messages to people and programs outside', ['state'], async (messages) => {
    const count = await state.messages();
    for (const one of OUTBOX_STATES) messages.set({ state: one }, count.get(one) ?? 0);
  });
  gauge('countersign_decisions', 'Verdicts of people in the last 24 hours', ['person', 'verdict'], async (verdicts) => {
    for (const { person, approved, rejected } of await state.decisions(1)) {
      verdicts.set({ person, verdict: 'approve' }, approved);
      verdicts.set({ person, verdict: 'reject' }, rejected);
    }
  });
  gauge(
    'countersign_agent_approvals',
    'Plans that approval agents approved in the last 24 hours',
    ['agent'],
    async (given) => {
      for (const { agent, approved } of await state.agentDecisions()) given.set({ agent }, approved);
    },
  );
  const habit = (name: string, help: string, of: (decisions: PersonDecisions) => number) =>
    gauge(`countersign_${name}`, `${help}, over 30 days`, ['person'], async (habits) => {
      for (const decisions of await state.decisions(30)) habits.set({ person: decisions.person }, of(decisions));
    });
  habit('decision_seconds', 'Median time from a plan to a verdict', ({ medianToDecideMs }) => medianToDecideMs / 1000);
  habit('approved_unread_ratio', 'Share of approvals within 5 s of the first sight', ({ unread, approved }) =>
    approved === 0 ? 0 : unread / approved,
  );
  const redTeam = (name: string, help: string, count: (run: RedTeamRun) => number) =>
    gauge(`countersign_redteam_${name}`, help, ['target'], async (cases) => {
      for (const run of await state.redTeam()) cases.set({ target: run.target }, count(run));
    });
  redTeam('through', 'Attacks that got through in the last run of the red team', ({ through }) => through.length);
  redTeam('refused', 'Harmless work that was refused in the last run', ({ refused }) => refused.length);
  redTeam('worse', 'Those of both that were well in the run before', ({ worse }) =>
    worse === null ? 0 : worse.through.length + worse.refused.length,
  );
  redTeam(
    'started_seconds',
    'When the last run began, in seconds since the epoch',
    ({ startedAt }) => Date.parse(startedAt) / 1000,
  );
  const age = (name: string, help: string, madeMs: (figures: BackupFigures) => number | null) =>
    gauge(name, `${help}; +Inf where there is none`, ['target'], async (ages) => {
      for (const figures of await state.backups()) {
        const sinceMs = madeMs(figures);
        ages.set({ target: figures.target }, sinceMs === null ? Infinity : (state.nowMs() - sinceMs) / 1000);
      }
    });
  age('countersign_backup_age_seconds', 'Since the snapshot of the newest backup', ({ madeMs }) => madeMs);
  age('countersign_drill_age_seconds', 'Since a drill passed last', ({ drilledMs }) => drilledMs);
  gauge(
    'countersign_backup_failures',
    'How often in a row a backup or drill that was due could not be made',
    ['target', 'what'],
    async (failing) => {
      for (const { target, works } of await state.backups())
        for (const { name, failures } of works) failing.set({ target, what: name }, failures);
    },
  );
  gauge(
    'countersign_drift_objects',
    'Objects that are not as the baseline of the target has them',
    ['target'],
    (drift) => {
      for (const { target, objects } of state.drifts()) drift.set({ target }, objects);
    },
  );
  gauge('countersign_drift_age_seconds', 'Since a target was looked at for drift last', ['target'], (age) => {
    for (const { target, checkedAt } of state.drifts())
      age.set({ target }, Math.max(0, (state.nowMs() - Date.parse(checkedAt)) / 1000));
  });
  gauge('countersign_ready', 'Whether what the gateway needs is there', ['part'], async (ready) => {
    for (const { part, missing } of await state.needs()) ready.set({ part }, missing === null ? 1 : 0);
  });
}

async function inTime(reading: unknown, name: string): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`${name} could not be read in time`)), PATIENCE_MS);
  });
  try {
    await Promise.race([reading, late]);
  } finally {
    clearTimeout(timer);
  }
}

import { Gauge, type Registry } from 'prom-client';
import type { HaltScope } from '../domain/halt.ts';
import { PLAN_STATES, type PlanState } from '../domain/plan.ts';
import type { ActorSession } from '../pipeline/actor-session.ts';

/** What is read when the figures are asked for, and only then. */
export interface StateOfThings {
  plans(): Promise<ReadonlyMap<PlanState, number>>;
  /** Plans that wait for people, and when the oldest of them was made; `null` when none waits. */
  waiting(): Promise<{ readonly count: number; readonly oldestMs: number | null }>;
  halts(): readonly { readonly scope: HaltScope }[];
  readsWaiting(): number;
  /** The files that were changed last are not in force. */
  reloadFailed(): boolean;
  needs(): Promise<readonly { readonly part: string; readonly missing: string | null }[]>;
  nowMs(): number;
}

/** @param openSessions kept by the caller; counted when asked. */
export function addStateGauges(
  registry: Registry,
  openSessions: ReadonlyMap<ActorSession, { readonly target: string }>,
  state: StateOfThings,
): void {
  const gauge = (name: string, help: string, labelNames: readonly string[], read: (gauge: Gauge) => unknown) =>
    new Gauge({
      name,
      help,
      labelNames,
      registers: [registry],
      async collect() {
        this.reset();
        await read(this);
      },
    });

  gauge('countersign_sessions', 'Sessions of actors that are open', ['target', 'channel'], (open) => {
    for (const [session, { target }] of openSessions) open.inc({ target, channel: session.channel });
  });
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
  );
  gauge('countersign_plans', 'Plans by where they stand', ['state'], async (plans) => {
    const counts = await state.plans();
    for (const name of PLAN_STATES) plans.set({ state: name }, counts.get(name) ?? 0);
  });
  const oldest = gauge(
    'countersign_oldest_waiting_plan_seconds',
    'How long the oldest has waited',
    [],
    () => undefined,
  );
  gauge('countersign_approvals_waiting', 'Plans that wait for people to countersign', [], async (waiting) => {
    const { count, oldestMs } = await state.waiting();
    waiting.set(count);
    oldest.set(oldestMs === null ? 0 : Math.max(0, (state.nowMs() - oldestMs) / 1000));
  });
  gauge('countersign_halts', 'Halts in force', ['scope'], (halts) => {
    for (const scope of ['global', 'agent', 'task', 'target']) halts.set({ scope }, 0);
    for (const { scope } of state.halts()) halts.inc({ scope: scope.scope });
  });
  gauge('countersign_reads_unrecorded', 'Distinct reads that wait to be brought into the ledger', [], (reads) =>
    reads.set(state.readsWaiting()),
  );
  gauge('countersign_reload_failed', 'Whether what the files say is not in force', [], (failed) =>
    failed.set(state.reloadFailed() ? 1 : 0),
  );
  gauge('countersign_ready', 'Whether what the gateway needs is there', ['part'], async (ready) => {
    for (const { part, missing } of await state.needs()) ready.set({ part }, missing === null ? 1 : 0);
  });
}

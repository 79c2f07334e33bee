import { z } from 'zod';
import type { TableEffect } from '../domain/effect.ts';
import type { ActorId, Instant, TargetId, TaskId } from '../domain/ids.ts';
import type { PlanRecord, UndoPath } from '../domain/plan.ts';
import type { Ledger } from '../ledger/ledger.ts';
import {
  type AppliedPlan,
  type AppliedWrite,
  appliedPlan,
  appliedPlans,
  appliedWrite,
  appliedWrites,
} from '../store/changes.ts';
import type { Store } from '../store/store.ts';
import { taskById } from '../store/tasks.ts';

/** What is known of a change: of an applied plan from the plan, of a write within limits from its entry in the ledger. */
export interface ChangeFacts {
  /** The plan's id, or the intent's. */
  readonly id: string;
  readonly task: TaskId;
  readonly actor: ActorId;
  readonly target: TargetId;
  /** The plan's texts; of a write the shapes, for its values are not kept. */
  readonly statements: readonly string[];
  readonly tables: readonly TableEffect[];
  readonly undo: UndoPath;
  readonly appliedAt: Instant;
  readonly record: PlanRecord | null;
}

/** Reads what has taken effect. */
export interface ChangeReader {
  /** The newest first. */
  list(filter: { readonly task?: string; readonly limit: number }): Promise<readonly ChangeFacts[]>;
  find(id: string): Promise<ChangeFacts | undefined>;
}

export function createChangeReader(deps: {
  readonly store: Store;
  readonly ledger: Pick<Ledger, 'entries'>;
}): ChangeReader {
  const { store, ledger } = deps;

  async function ofWrite({ id, task, target, appliedAt }: AppliedWrite): Promise<ChangeFacts> {
    const [found] = await ledger.entries({ subject: id, kind: 'intent', limit: 1 });
    const { actor, measured, statements, kept } = BODY.parse(found?.entry.body);
    const rows = measured.reduce((sum, table) => sum + table.inserted + table.updated + table.deleted, 0);
    return {
      id,
      task,
      actor: actor as ActorId,
      target,
      statements: statements.map(({ shape }) => shape),
      tables: measured,
      undo: kept ? { undo: 'row images', rows } : { undo: 'irreversible', why: NOT_KEPT },
      appliedAt,
      record: null,
    };
  }

  return {
    async list(filter) {
      const writes = await Promise.all((await appliedWrites(store, filter)).map(ofWrite));
      const plans = (await appliedPlans(store, filter)).map(ofPlan);
      return [...plans, ...writes].sort((a, b) => (a.appliedAt < b.appliedAt ? 1 : -1)).slice(0, filter.limit);
    },
    async find(id) {
      const plan = await appliedPlan(store, id);
      if (plan !== undefined) return ofPlan(plan);
      const write = await appliedWrite(store, id);
      return write === undefined || (await taskById(store, write.task)) === undefined ? undefined : ofWrite(write);
    },
  };
}

function ofPlan({ record, appliedAt }: AppliedPlan): ChangeFacts {
  const { id, plan } = record;
  return {
    id,
    task: plan.task,
    actor: plan.actor,
    target: plan.target,
    statements: plan.statements.map(({ text }) => text),
    tables: plan.measurement.measured ? plan.measurement.effect.tables : [],
    undo: plan.undo,
    appliedAt,
    record,
  };
}

const NOT_KEPT = 'the rows of writes within limits were not kept on this target';

/** What `commit-writes.ts` has recorded before the write took effect. */
const BODY = z.object({
  actor: z.string(),
  statements: z.array(z.object({ shape: z.string() })),
  measured: z.array(
    z.object({
      table: z.string(),
      inserted: z.number(),
      updated: z.number(),
      deleted: z.number(),
      truncated: z.number(),
      via: z.enum(['direct', 'cascade', 'trigger', 'rule']),
    }),
  ),
  kept: z.boolean().default(false),
});

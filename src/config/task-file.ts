import { type ActorId, asId, type TargetId } from '../domain/ids.ts';
import type { TargetRadius, TaskLimits } from '../domain/task.ts';
import { readYaml } from './parse-yaml.ts';
import { taskSchema } from './schema.ts';

/** A task file: the blast radius that an agent's work is declared to have. */
export interface TaskFile {
  readonly purpose: string;
  readonly agent?: ActorId;
  readonly radius: readonly TargetRadius[];
  readonly limits: Partial<TaskLimits>;
  readonly lifetimeMs: number;
}

/** @throws ConfigError with all that is wrong, by line and key. */
export async function loadTaskFile(file: string): Promise<TaskFile> {
  const { value } = readYaml(file, taskSchema);
  const { statementTimeout, idleInTransaction, othersWait, ...limits } = value.limits;
  return {
    purpose: value.purpose,
    ...(value.agent === undefined ? {} : { agent: asId<ActorId>(value.agent) }),
    radius: Object.entries(value.targets).map(([target, { read, write }]) => ({
      target: asId<TargetId>(target),
      read,
      write,
    })),
    limits: {
      ...given(limits),
      ...(idleInTransaction === undefined ? {} : { idleInTransactionMs: idleInTransaction }),
      ...(othersWait === undefined ? {} : { othersWaitMs: othersWait }),
      ...(statementTimeout === undefined ? {} : { statementTimeoutMs: statementTimeout }),
    },
    lifetimeMs: value.expires,
  };
}

/** Without the limits that were left out. */
function given(limits: Readonly<Partial<Record<keyof TaskLimits, number | undefined>>>): Partial<TaskLimits> {
  return Object.fromEntries(Object.entries(limits).filter(([, limit]) => limit !== undefined));
}

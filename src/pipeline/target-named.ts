import { asId, type TargetId } from '../domain/ids.ts';
import type { Target } from '../domain/target.ts';
import type { Task } from '../domain/task.ts';

/**
 * The target that a client means by the database it asks for: its id, or the database's own name where the task reaches
 * only one of that name. Some tools compare the name they connected with to what the server says.
 */
export function targetNamed(database: string, task: Task, targets: Iterable<Target>): TargetId {
  const id = asId<TargetId>(database);
  const reached = new Set(task.radius.map((radius) => radius.target));
  if (reached.has(id)) return id;
  const so = [...targets].filter((target) => reached.has(target.id) && target.endpoint.database === database);
  return so.length === 1 && so[0] !== undefined ? so[0].id : id;
}

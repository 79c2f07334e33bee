import type { ActorId } from '../../domain/ids.ts';
import type { Task } from '../../domain/task.ts';
import type { Gateway } from '../../pipeline/gateway.ts';

/** Whom a bearer token speaks for: one task, or an agent that has yet to open one. */
export type Caller =
  | { readonly caller: 'task'; readonly task: Task }
  | { readonly caller: 'agent'; readonly agent: ActorId };

/** Who calls, or `undefined` when the token is unknown or its task is over. Asked anew for every request. */
export async function callerOf(gateway: Gateway, token: string): Promise<Caller | undefined> {
  const task = await gateway.taskByToken(token);
  if (task !== undefined) return { caller: 'task', task };
  const agent = await gateway.agentByToken(token);
  return agent === undefined ? undefined : { caller: 'agent', agent };
}

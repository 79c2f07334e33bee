import type { Actor, Agent, Role, Service } from '../domain/actor.ts';
import { type ActorId, asId, type RoleId } from '../domain/ids.ts';
import { approvalAgentsOf } from './approval-agents.ts';
import { personOf } from './people.ts';
import type { ConfigDocument } from './schema.ts';

export function actorsOf(value: ConfigDocument): ReadonlyMap<ActorId, Actor> {
  const actors = new Map<ActorId, Actor>();
  for (const [id, entry] of Object.entries(value.actors.people)) {
    const person = personOf(id, entry);
    actors.set(person.id, person);
  }
  for (const [kind, machines] of [
    ['agent', value.actors.agents],
    ['service', value.actors.services],
  ] as const) {
    for (const [id, { owner, role, family }] of Object.entries(machines)) {
      const machine: Agent | Service = {
        kind,
        id: asId<ActorId>(id),
        owner: asId<ActorId>(owner),
        role: asId<RoleId>(role),
        ...(family === undefined ? {} : { family }),
      };
      actors.set(machine.id, machine);
    }
  }
  for (const agent of approvalAgentsOf(value)) actors.set(agent.id, agent);
  return actors;
}

export function roleOf(id: string, entry: ConfigDocument['roles'][string]): Role {
  const { maxTask, maxRowsPerReply, maxBytesPerReply, maxSessions, ...given } = entry;
  return {
    id: asId<RoleId>(id),
    ...given,
    maxTaskMs: maxTask,
    ...(maxRowsPerReply === undefined ? {} : { maxRowsPerReply }),
    ...(maxBytesPerReply === undefined ? {} : { maxBytesPerReply }),
    ...(maxSessions === undefined ? {} : { maxSessions }),
  };
}

import type { ApprovalAgent } from '../domain/actor.ts';
import { type ActorId, asId } from '../domain/ids.ts';
import type { Report } from './people.ts';
import type { ConfigDocument } from './schema.ts';

/** Agents that may countersign, as the configuration knows them. */
export function approvalAgentsOf({ actors }: ConfigDocument): readonly ApprovalAgent[] {
  return Object.entries(actors.approvalAgents).map(([id, { owner, family, publicKey, approves }]) => ({
    kind: 'approval agent',
    id: asId<ActorId>(id),
    owner: asId<ActorId>(owner),
    family,
    publicKey: Buffer.from(publicKey.slice('ed25519:'.length), 'base64'),
    approves,
  }));
}

/** None in production, none under another actor's name or key, and none where no environment would count it. */
export function checkApprovalAgents(
  value: ConfigDocument,
  report: Report,
  { needPerson, needEnvironment }: { readonly needPerson: Report; readonly needEnvironment: Report },
): void {
  for (const [id, { tier, approvalAgents }] of Object.entries(value.environments)) {
    if (tier === 'production' && approvalAgents !== undefined)
      report(['environments', id, 'approvalAgents'], 'in production people countersign, and no agent');
  }
  const { people, agents, services, approvalAgents } = value.actors;
  const keys = new Map(
    Object.entries(people).flatMap(([id, { publicKeys }]) => publicKeys.map((key) => [key, id] as const)),
  );
  for (const [id, { owner, publicKey, approves }] of Object.entries(approvalAgents)) {
    const at = ['actors', 'approvalAgents', id];
    needPerson([...at, 'owner'], owner);
    for (const [other, article] of [
      [people, 'a person'],
      [agents, 'an agent'],
      [services, 'a service'],
    ] as const) {
      if (Object.hasOwn(other, id)) report(at, `${article} has this name already`);
    }
    const theirs = keys.get(publicKey);
    if (theirs !== undefined)
      report([...at, 'publicKey'], `this is the key of ${theirs}: one signature would be both of theirs`);
    keys.set(publicKey, id);
    for (const [index, environment] of approves.entries()) {
      const place = [...at, 'approves', index];
      const known = Object.hasOwn(value.environments, environment) ? value.environments[environment] : undefined;
      if (known === undefined) needEnvironment(place, environment);
      else if (known.tier === 'production') report(place, 'in production people countersign, and no agent');
      else if (known.approvalAgents === undefined)
        report(
          place,
          `${environment} lets none: say up to how many rows under environments.${environment}.approvalAgents.maxRows`,
        );
    }
  }
}

import type { Actor, ApprovalAgent } from '../domain/actor.ts';
import type { Environment } from '../domain/environment.ts';
import { mayDo } from '../domain/rights.ts';
import { type Finding, findingsOf } from './finding.ts';

/** Approval agents that count for nothing as they are configured, and where the others approve. */
export function checkApprovalAgents(
  actors: ReadonlyMap<string, Actor>,
  environments: ReadonlyMap<string, Environment>,
): Finding[] {
  return [...actors.values()].flatMap((actor) =>
    actor.kind === 'approval agent' ? [ofAgent(actor, actors, environments)] : [],
  );
}

function ofAgent(
  { id, owner, family, approves }: ApprovalAgent,
  actors: ReadonlyMap<string, Actor>,
  environments: ReadonlyMap<string, Environment>,
): Finding {
  const { ok, bad } = findingsOf(`approval agent ${id}`);
  const person = actors.get(owner);
  const answers = person?.kind === 'person' && mayDo(person, 'plan.decide') ? person : undefined;
  const without = approves.filter((each) => answers?.approves.some((may) => may === '*' || may === each) !== true);
  if (without.length > 0)
    return bad('warn', 'approval-agents.owner', {
      found: `${owner}, who answers for it, may not countersign in ${without.join(', ')}`,
      why: 'It has no more than its owner could give: it counts for nothing there.',
      fix: `actors.people.${owner}.approves: [${approves.join(', ')}]  # or another owner, who countersigns there`,
    });
  if (answers?.roles.includes('administrator') === true)
    return bad('warn', 'approval-agents.owner', {
      found: `${owner}, who answers for it, is an administrator`,
      why: 'An administrator’s word suffices alone by no agent either: it counts for nothing.',
      fix: `actors.approvalAgents.${id}.owner: somebody who countersigns there, and is no administrator`,
    });
  const proposing = [...actors.values()].flatMap((actor) =>
    actor.kind === 'agent' || actor.kind === 'service' ? [actor] : [],
  );
  const others = proposing.filter(
    (actor) => actor.owner !== owner && actor.family !== undefined && actor.family !== family,
  );
  if (others.length === 0)
    return bad('warn', 'approval-agents.kind', {
      found: 'every agent that proposes is of its kind: of its family or its owner, or says no family',
      why: 'It counts for nothing: what its own kind proposes is for people.',
      fix: 'actors.agents.NAME.family: what decides in it, as in claude',
    });
  const where = approves.map((each) => `${each} (${environments.get(each)?.approvalAgents?.maxRows ?? 0} rows)`);
  return ok(
    'approval-agents',
    `approves in ${where.join(', ')} what ${others.map((actor) => actor.id).join(', ')} proposed; ${owner} answers for it`,
  );
}

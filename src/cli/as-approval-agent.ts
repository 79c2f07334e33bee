import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { signAgentApproval } from '../approval/agent-approval.ts';
import { loadPersonKey } from '../approval/person-key.ts';
import type { ApprovalAgent } from '../domain/actor.ts';
import type { ApprovalEnvelope } from '../domain/approval.ts';
import { digestOf, type Json } from '../domain/digest.ts';
import { type ActorId, asId, instantOf } from '../domain/ids.ts';
import { type PlanRecord, shortId } from '../domain/plan.ts';
import { RefusalError } from '../domain/refusal.ts';
import { approvalAgentMay, noRightOfAgent, type Right } from '../domain/rights.ts';
import type { Countersign } from '../server/open-countersign.ts';

/**
 * The approval agent that `--as` names; `undefined` where it names somebody else.
 *
 * @throws RefusalError where approval agents have not the right.
 */
export function approvalAgentNamed({ config }: Countersign, name: string, right: Right): ApprovalAgent | undefined {
  const actor = config.actors.get(asId<ActorId>(name));
  if (actor?.kind !== 'approval agent') return undefined;
  if (!approvalAgentMay(right)) throw new RefusalError(noRightOfAgent(actor, right));
  return actor;
}

/** Signs a plan with an approval agent's own key. @throws RefusalError for a rejection, or when the key is missing or another's. */
export function approvedByAgent(
  { config, clock }: Countersign,
  agent: ApprovalAgent,
  { id, plan }: PlanRecord,
  asked: { readonly verdict: 'approve' | 'reject'; readonly reason?: string; readonly key?: string },
): ApprovalEnvelope {
  if (asked.verdict === 'reject')
    throw new RefusalError({
      refused: 'denied',
      message: `${agent.id} is an approval agent: it approves, or leaves it to people.`,
      hint: `A person rejects it: countersign plan reject ${shortId(id)} --as PERSON`,
    });
  const file = asked.key ?? join(config.directory, 'keys', 'agents', `${agent.id}.key`);
  if (!existsSync(file))
    throw new RefusalError({
      refused: 'denied',
      message: `There is no key of ${agent.id} at ${file}.`,
      hint: 'Name it with --key. It is the agent’s own: no person’s key, and no token, makes somebody this agent.',
    });
  const key = loadPersonKey(file);
  if (!Buffer.from(agent.publicKey).equals(key.publicKey))
    throw new RefusalError({
      refused: 'denied',
      message: `The key in ${file} is not ${agent.id}’s.`,
      hint: `The configuration has the public key that counts, under actors.approvalAgents.${agent.id}.`,
    });
  const statement = {
    type: 'https://countersign.dev/agent-approval/v1',
    plan: id,
    environment: plan.environment,
    identity: digestOf(plan.identity as unknown as Json),
    agent: agent.id,
    verdict: 'approve',
    reason: asked.reason ?? '',
    at: instantOf(clock.now()),
  } as const;
  return signAgentApproval(statement, key);
}

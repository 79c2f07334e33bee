import type { Envelope } from './envelope.ts';
import type { ActorId, Digest, EnvironmentId, Instant, PlanId } from './ids.ts';
import type { Plan } from './plan.ts';

/** What a person signs: this plan, on this target identity, by me, now. */
export interface ApprovalStatement {
  readonly type: 'https://countersign.dev/approval/v1' | 'https://countersign.dev/attested-approval/v1';
  readonly plan: PlanId;
  readonly environment: EnvironmentId;
  /** Digest of the plan's target identity: an approval for staging is worth nothing in production. */
  readonly identity: Digest;
  readonly person: ActorId;
  /** By which delegation they decide in somebody's place; left out where they decide as themselves. */
  readonly delegation?: string;
  readonly verdict: 'approve' | 'reject';
  readonly reason: string;
  readonly at: Instant;
  /** Set where the gateway says this of a person, and not the person themself: nobody but the gateway has signed it. */
  readonly via?: 'slack';
  readonly click?: SlackClick;
}

/** What an approval agent signs. It approves or leaves it to people: what it would not allow, a person still may. */
export interface AgentApprovalStatement {
  readonly type: 'https://countersign.dev/agent-approval/v1';
  readonly plan: PlanId;
  readonly environment: EnvironmentId;
  readonly identity: Digest;
  readonly agent: ActorId;
  readonly verdict: 'approve';
  readonly reason: string;
  readonly at: Instant;
}

/** What the gateway has seen of a click, and vouches for with its own key. */
export interface SlackClick {
  /** Slack's ids of workspace and user. */
  readonly team: string;
  readonly user: string;
  /** The message whose button it was: where it stands, and what Slack calls it (`ts`). */
  readonly conversation: string;
  readonly message: string;
  readonly at: Instant;
  /** Digest of what Slack signed: `v0:`, the moment of the signature, `:` and the raw body. */
  readonly callback: Digest;
}

/** How somebody whose word counts is called where plans are shown: an agent is never taken for a person. */
export function describeSigner({
  person,
  agentOf,
}: {
  readonly person: ActorId;
  readonly agentOf?: ActorId | undefined;
}): string {
  return agentOf === undefined ? person : `${person} (an approval agent; ${agentOf} answers for it)`;
}

/** A DSSE envelope (secure-systems-lab/dsse v1) around a canonical approval statement. */
export type ApprovalEnvelope = Envelope<
  /** The second is signed by the gateway, the third by an approval agent. As another type of payload no signature of one kind fits another. */
  | 'application/vnd.countersign.approval+json'
  | 'application/vnd.countersign.attested-approval+json'
  | 'application/vnd.countersign.agent-approval+json'
>;

declare const approved: unique symbol;
/** A plan whose signatures were verified. Only `approval/quorum.ts` makes one, and in an emergency `approval/break-glass.ts`. */
export type Approved<P extends Plan = Plan> = P & { readonly [approved]: true };

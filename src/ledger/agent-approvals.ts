import { z } from 'zod';
import { preAuthenticationEncoding } from './pre-authentication-encoding.ts';
import { keyId, verifyEd25519 } from './signing-key.ts';

/** A plan that an approval agent has approved. */
export interface AgentApproval {
  readonly plan: string;
  readonly agent: string;
  readonly owner: string;
}

/**
 * Holds approvals by agents against the plans that the ledger itself tells of: each signed by the key that the entry names,
 * over just that plan, and never for what agents decide nowhere. That the agent has this key, and may approve there, is
 * for a trust policy to say.
 */
export interface AgentApprovals {
  /** Takes the entries in their order. @returns what is wrong with one, or `undefined`. */
  take(entry: string): string | undefined;
  found(): readonly AgentApproval[];
}

const AGENT_TYPE = 'application/vnd.countersign.agent-approval+json';

const planSchema = z.object({
  kind: z.literal('plan'),
  subject: z.string(),
  body: z.object({
    actor: z.string(),
    onBehalfOf: z.string(),
    environment: z.string(),
    identity: z.string(),
    missing: z.array(z.object({ obligation: z.string(), count: z.number().optional() })),
    measured: z.unknown(),
    undo: z.object({ undo: z.string() }).optional(),
  }),
});

const approvalSchema = z.object({
  kind: z.literal('approval'),
  subject: z.string(),
  body: z.object({
    agent: z.string(),
    owner: z.string(),
    key: z.string().regex(/^ed25519:[A-Za-z0-9+/]{43}=$/),
    envelope: z.object({
      payloadType: z.literal(AGENT_TYPE),
      payload: z.base64(),
      signatures: z.tuple([z.strictObject({ keyid: z.string(), sig: z.base64() })]),
    }),
  }),
});

const statementSchema = z.object({
  type: z.literal('https://countersign.dev/agent-approval/v1'),
  plan: z.string(),
  environment: z.string(),
  identity: z.string(),
  agent: z.string(),
  verdict: z.literal('approve'),
});

const claimSchema = z.object({ body: z.object({ agent: z.unknown().optional(), envelope: z.unknown().optional() }) });
const typeSchema = z.object({ payloadType: z.literal(AGENT_TYPE) });

type PlanBody = z.infer<typeof planSchema>['body'];

export function createAgentApprovals(): AgentApprovals {
  // Only of plans that wait for one countersignature: no agent decides on any other.
  const plans = new Map<string, PlanBody>();
  const found: AgentApproval[] = [];

  function wrong({ subject, body }: z.infer<typeof approvalSchema>): string | undefined {
    const { agent, owner, key, envelope } = body;
    const payload = Buffer.from(envelope.payload, 'base64');
    const said = statementSchema.safeParse(jsonOf(payload));
    const plan = plans.get(subject);
    if (!said.success || said.data.plan !== subject || said.data.agent !== agent)
      return 'it says of an approval agent something else than what it signed';
    const publicKey = Buffer.from(key.slice('ed25519:'.length), 'base64');
    const [{ keyid, sig }] = envelope.signatures;
    const message = preAuthenticationEncoding(AGENT_TYPE, payload);
    if (keyid !== keyId(publicKey) || !verifyEd25519(publicKey, message, Buffer.from(sig, 'base64')))
      return `the key that it names has not signed that ${agent} approved`;
    if (plan === undefined) return `${agent} approved what no agent decides on`;
    if (plan.environment !== said.data.environment || plan.identity !== said.data.identity)
      return `${agent} approved it for another environment or target`;
    if ([agent, owner].includes(plan.actor) || plan.onBehalfOf === owner || plan.onBehalfOf === agent)
      return `${agent} approved its own intent, or that of ${owner}, who answers for it`;
    found.push({ plan: subject, agent, owner });
    return undefined;
  }

  return {
    take(text) {
      // Most entries are none of these, and are told apart without being read.
      if (!/"kind":"(?:plan|approval|rejection)"/.test(text)) return undefined;
      const entry = JSON.parse(text) as { kind: string };
      switch (entry.kind) {
        case 'plan': {
          const plan = planSchema.safeParse(entry);
          if (plan.success && decidedByAgents(plan.data.body)) plans.set(plan.data.subject, plan.data.body);
          return undefined;
        }
        case 'rejection':
          return isByAgent(entry) ? 'no approval agent rejects' : undefined;
        case 'approval': {
          if (!isByAgent(entry)) return undefined;
          const approval = approvalSchema.safeParse(entry);
          return approval.success ? wrong(approval.data) : 'it says of an approval agent what nobody signed';
        }
        default:
          return undefined;
      }
    },
    found: () => found,
  };
}

/** What somebody gives as a reason may name the type: only where it stands as one does it make one. */
function isByAgent(entry: unknown): boolean {
  const { agent, envelope } = claimSchema.safeParse(entry).data?.body ?? {};
  return agent !== undefined || typeSchema.safeParse(envelope).success;
}

/** One is asked for, nothing is frozen, and it was measured and can be undone. */
function decidedByAgents({ missing, measured, undo }: PlanBody): boolean {
  const people = missing.filter(({ obligation }) => obligation === 'approvals');
  return (
    people.every(({ count }) => count === 1) &&
    !missing.some(({ obligation }) => obligation === 'after freeze') &&
    measured !== null &&
    measured !== undefined &&
    undo !== undefined &&
    undo.undo !== 'irreversible'
  );
}

function jsonOf(payload: Buffer): unknown {
  try {
    return JSON.parse(payload.toString('utf8'));
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

import { standInOf } from '../approval/delegation.ts';
import { APPROVAL_TYPE, openEnvelope } from '../approval/envelope.ts';
import type { Person } from '../domain/actor.ts';
import type { ApprovalStatement } from '../domain/approval.ts';
import { digestOf, type Json } from '../domain/digest.ts';
import { type ActorId, instantOf } from '../domain/ids.ts';
import type { Refusal } from '../domain/refusal.ts';
import type { Delegations } from '../pipeline/delegations.ts';
import type { PlanView } from '../pipeline/gateway.ts';
import type { ReceiveVerdict } from '../pipeline/verdicts.ts';
import type { PasskeySigning, SignedByDevice } from './passkey-signing.ts';
import type { AskedSignature } from './signed-by-passkey.ts';

/** A verdict that a passkey is to sign. */
export interface AskedVerdict extends AskedSignature {
  readonly statement: ApprovalStatement;
}

/**
 * Countersigning with a passkey. The challenge is the digest of the statement's DSSE encoding, which names plan, target,
 * person, verdict, reason and time: what the authenticator signs is the approval itself, and can be no other.
 */
export interface PasskeyVerdicts {
  ask(request: {
    readonly plan: PlanView;
    readonly person: ActorId;
    readonly origin: string;
    readonly verdict: 'approve' | 'reject';
    readonly reason: string;
  }): Promise<AskedVerdict | { readonly refused: Refusal }>;
  receive(signed: SignedByDevice & { readonly plan: string }): ReturnType<ReceiveVerdict>;
}

export function createPasskeyVerdicts(deps: {
  readonly signing: PasskeySigning;
  readonly people: () => ReadonlyMap<ActorId, Person>;
  readonly delegations: Pick<Delegations, 'standing'>;
  readonly receiveVerdict: ReceiveVerdict;
  readonly now: () => number;
}): PasskeyVerdicts {
  return {
    async ask({ plan: view, person, origin, verdict, reason }) {
      const { id, plan } = view;
      const known = deps.people().get(person);
      const statement: ApprovalStatement = {
        type: 'https://countersign.dev/approval/v1',
        plan: id,
        environment: plan.environment,
        identity: digestOf(plan.identity as unknown as Json),
        person,
        ...(known === undefined ? {} : standInOf(known, view, await deps.delegations.standing(plan.environment))),
        verdict,
        reason,
        at: instantOf(deps.now()),
      };
      const command = `countersign plan ${verdict} ${id} --as ${person}`;
      return deps.signing.ask(APPROVAL_TYPE, statement, { origin, command });
    },

    async receive({ plan, ...signed }) {
      const taken = deps.signing.take(APPROVAL_TYPE, signed, openEnvelope);
      if ('refused' in taken) return taken;
      if (taken.statement.plan !== plan)
        return no('This does not count: it is another verdict than the one asked for.', 'Look at the plan again.');
      return deps.receiveVerdict(taken.envelope);
    },
  };
}

function no(message: string, hint: string): { readonly refused: Refusal } {
  return { refused: { refused: 'denied', message, hint } };
}

import { APPROVAL_TYPE, openEnvelope } from '../approval/envelope.ts';
import type { Person } from '../domain/actor.ts';
import type { ApprovalEnvelope, ApprovalStatement } from '../domain/approval.ts';
import { canonicalJson, digestOf, type Json } from '../domain/digest.ts';
import { type ActorId, instantOf } from '../domain/ids.ts';
import type { Refusal } from '../domain/refusal.ts';
import type { PlanView } from '../pipeline/gateway.ts';
import type { ReceiveVerdict } from '../pipeline/verdicts.ts';
import { type AskedSignature, type Assertion, askFor, envelopeOf, GOOD_FOR_MS } from './signed-by-passkey.ts';

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
  }): AskedVerdict | { readonly refused: Refusal };
  /** @param person who is signed in: they send their own verdicts only. */
  receive(signed: {
    readonly plan: string;
    readonly person: ActorId;
    readonly payload: string;
    readonly assertion: Assertion;
  }): ReturnType<ReceiveVerdict>;
}

export function createPasskeyVerdicts(deps: {
  readonly people: () => ReadonlyMap<ActorId, Person>;
  readonly receiveVerdict: ReceiveVerdict;
  readonly now: () => number;
}): PasskeyVerdicts {
  return {
    ask({ plan: { id, plan }, person, origin, verdict, reason }) {
      const passkeys = deps.people().get(person)?.passkeys ?? [];
      const [first, ...others] = passkeys.filter((passkey) => passkey.origin === origin);
      if (first === undefined) {
        return no(
          `${person} has no passkey for ${origin} that somebody has vouched for.`,
          `Register one, or sign with your key: countersign plan ${verdict} ${id} --as ${person}`,
        );
      }
      const statement: ApprovalStatement = {
        type: 'https://countersign.dev/approval/v1',
        plan: id,
        environment: plan.environment,
        identity: digestOf(plan.identity as unknown as Json),
        person,
        verdict,
        reason,
        at: instantOf(deps.now()),
      };
      const payload = Buffer.from(canonicalJson(statement as unknown as Json), 'utf8');
      return { statement, ...askFor(APPROVAL_TYPE, payload, [first, ...others]) };
    },

    async receive({ plan, person, payload, assertion }) {
      const passkey = deps
        .people()
        .get(person)
        ?.passkeys.find(({ credential }) => credential === assertion.id);
      if (passkey === undefined) return no(`This is no passkey of ${person} that counts.`, 'Sign with your own.');
      const envelope: ApprovalEnvelope = envelopeOf(APPROVAL_TYPE, payload, passkey, assertion);
      const opened = openEnvelope(envelope);
      if (!opened.opened) return no(`This does not count: ${opened.why}.`, 'Ask for what to sign again.');
      const { statement } = opened;
      if (statement.person !== person || statement.plan !== plan)
        return no('This does not count: it is another verdict than the one asked for.', 'Look at the plan again.');
      if (deps.now() - Date.parse(statement.at) > GOOD_FOR_MS)
        return no('This does not count: it was asked for too long ago.', 'Look at the plan again, and decide anew.');
      return deps.receiveVerdict(envelope);
    },
  };
}

function no(message: string, hint: string): { readonly refused: Refusal } {
  return { refused: { refused: 'denied', message, hint } };
}

import { delegationId, openDelegation, verifyDelegation, verifyDelegationEnd } from '../approval/delegation.ts';
import type { Person } from '../domain/actor.ts';
import type { DelegationEndEnvelope, DelegationEnvelope, StandingDelegation } from '../domain/delegation.ts';
import type { Json } from '../domain/digest.ts';
import type { ActorId, EnvironmentId } from '../domain/ids.ts';
import { GuardFailed } from '../ledger/ledger.ts';
import { lastEntryAbout } from '../ledger/newest-entry.ts';
import {
  delegationById,
  delegations,
  endDelegation,
  insertDelegation,
  type KeptDelegation,
} from '../store/delegations.ts';
import type { Store } from '../store/store.ts';
import type { Write } from '../store/write.ts';
import type { Refused } from './gateway.ts';
import type { Proof } from './proof.ts';

/** Who decides in whose place. */
export interface Delegations {
  /**
   * Those that stand in an environment, by what they are called: verified anew, and told of by the ledger.
   *
   * @param whenSigned whether those count as well that have come to their end since: for looking at what was.
   */
  standing(environment: EnvironmentId, whenSigned?: boolean): Promise<ReadonlyMap<string, StandingDelegation>>;
  /** All of them, and why one does not stand. */
  list(): Promise<
    readonly { readonly id: string; readonly envelope: DelegationEnvelope; readonly why: string | null }[]
  >;
  receive(envelope: DelegationEnvelope): Promise<{ readonly delegation: StandingDelegation } | Refused>;
  end(id: string, envelope: DelegationEndEnvelope): Promise<{ readonly ended: string } | Refused>;
}

export function createDelegations(deps: {
  readonly store: Store;
  readonly proof: Proof;
  readonly people: () => ReadonlyMap<ActorId, Person>;
  readonly longestMs: () => number | null;
  readonly now: () => number;
}): Delegations {
  const { store, proof } = deps;
  const question = () => ({ people: deps.people(), longestMs: deps.longestMs(), now: deps.now() });

  /** Why one does not stand; the state is no authority on it. */
  async function judged(
    { id, envelope, endedAt }: KeptDelegation,
    whenSigned = false,
  ): Promise<StandingDelegation | string> {
    if (endedAt !== null && !whenSigned) return `it was ended at ${endedAt}`;
    const opened = openDelegation(envelope);
    const then = opened.opened && whenSigned ? { now: Date.parse(opened.statement.at) } : {};
    const verified = verifyDelegation(envelope, { ...question(), ...then });
    if (!verified.valid) return verified.why;
    const last = (await lastEntryAbout(store, 'delegation', id))?.body as { readonly event?: string } | undefined;
    if (verified.standing.id !== id || last?.event === undefined || (last.event !== 'delegated' && !whenSigned))
      return 'the ledger does not know that it stands';
    return verified.standing;
  }

  return {
    async standing(environment, whenSigned) {
      if (deps.longestMs() === null) return new Map();
      const all = await Promise.all(
        (await delegations(store, { environment })).map((kept) => judged(kept, whenSigned)),
      );
      return new Map(all.flatMap((one) => (typeof one === 'string' ? [] : [[one.id, one] as const])));
    },
    async list() {
      return Promise.all(
        (await delegations(store)).map(async (kept) => {
          const found = await judged(kept);
          return { id: kept.id, envelope: kept.envelope, why: typeof found === 'string' ? found : null };
        }),
      );
    },
    async receive(envelope) {
      const verified = verifyDelegation(envelope, question());
      if (!verified.valid) return no(`This does not count: ${verified.why}.`, 'Nothing was recorded.');
      const { standing } = verified;
      const { id, person, to, environment, until, reason } = standing;
      const taken = await recorded({
        subject: id,
        body: {
          event: 'delegated',
          delegation: id,
          person,
          to,
          environment,
          until,
          reason,
          envelope: envelope as unknown as Json,
        },
        write: insertDelegation(id, standing, envelope),
      });
      return taken ? { delegation: standing } : no('This was recorded before.', 'Sign another one.');
    },
    async end(id, envelope) {
      const kept = await delegationById(store, id);
      const opened = kept === undefined ? undefined : openDelegation(kept.envelope);
      if (kept === undefined || opened?.opened !== true || delegationId(kept.envelope) !== id)
        return no(`There is no delegation ${id}.`, '`countersign person delegations` shows them.');
      const verified = verifyDelegationEnd(envelope, { id, ...opened.statement }, deps.people());
      if (!verified.valid)
        return no(`This does not count: ${verified.why}.`, 'One of the two ends it, or an operator.');
      const { person, reason } = verified.statement;
      const taken = await recorded({
        subject: id,
        body: { event: 'ended', delegation: id, person, reason, envelope: envelope as unknown as Json },
        write: endDelegation(id, proof.now()),
      });
      return taken ? { ended: id } : no(`${id} was ended before.`, 'Nothing is left to do.');
    },
  };

  async function recorded(fact: {
    readonly subject: string;
    readonly body: Json;
    readonly write: Write;
  }): Promise<boolean> {
    try {
      await proof.record({ kind: 'delegation', subject: fact.subject, body: fact.body, writes: [fact.write] });
      return true;
    } catch (error) {
      if (!(error instanceof GuardFailed)) throw error;
      return false;
    }
  }
}

function no(message: string, hint: string): Refused {
  return { refused: { refused: 'denied', message, hint } };
}

import { decidesIn, openDelegation, openDelegationEnd } from '../approval/delegation.ts';
import type { Person } from '../domain/actor.ts';
import {
  DELEGATION_END_TYPE,
  DELEGATION_TYPE,
  type DelegationEndStatement,
  type DelegationStatement,
} from '../domain/delegation.ts';
import { type ActorId, asId, type EnvironmentId, type Instant, instantOf } from '../domain/ids.ts';
import type { Refusal } from '../domain/refusal.ts';
import { mayDo } from '../domain/rights.ts';
import type { Delegations } from '../pipeline/delegations.ts';
import type { PasskeySigning, SignedByDevice } from './passkey-signing.ts';
import type { AskedSignature } from './signed-by-passkey.ts';

type Refused = { readonly refused: Refusal };

/** Who decides in whose place, as people see it, and sign it with the passkey of their device. */
export interface PasskeyDelegations {
  list(): Promise<readonly DelegationLine[]>;
  /** In whose hands somebody can put their word: nobody where the configuration allows no delegation. */
  choices(person: ActorId): DelegationChoices;
  ask(request: {
    readonly person: ActorId;
    readonly origin: string;
    readonly to: string;
    readonly environment: string;
    readonly until: Instant;
    readonly reason: string;
  }): AskedSignature | Refused;
  receive(signed: SignedByDevice): ReturnType<Delegations['receive']>;
  askToEnd(request: {
    readonly person: ActorId;
    readonly origin: string;
    readonly delegation: string;
    readonly reason: string;
  }): AskedSignature | Refused;
  end(delegation: string, signed: SignedByDevice): ReturnType<Delegations['end']>;
}

export interface DelegationLine
  extends Pick<DelegationStatement, 'person' | 'to' | 'environment' | 'reason' | 'at' | 'until'> {
  readonly id: string;
  /** Why it does not stand; `null` where it does. */
  readonly why: string | null;
}

export interface DelegationChoices {
  /** The longest that one may last. */
  readonly longestMs: number | null;
  readonly where: readonly { readonly environment: EnvironmentId; readonly to: readonly ActorId[] }[];
}

export function createPasskeyDelegations(deps: {
  readonly signing: PasskeySigning;
  readonly delegations: Delegations;
  readonly people: () => ReadonlyMap<ActorId, Person>;
  readonly environments: () => readonly EnvironmentId[];
  readonly longestMs: () => number | null;
  readonly now: () => number;
}): PasskeyDelegations {
  const { signing, delegations } = deps;

  return {
    async list() {
      return (await delegations.list()).flatMap(({ id, envelope, why }) => {
        const opened = openDelegation(envelope);
        if (!opened.opened) return [];
        const { person, to, environment, reason, at, until } = opened.statement;
        return [{ id, person, to, environment, reason, at, until, why }];
      });
    },

    choices(id) {
      const person = deps.people().get(id);
      const longestMs = deps.longestMs();
      if (person === undefined || longestMs === null) return { longestMs, where: [] };
      const others = [...deps.people().values()].filter((one) => one.id !== id && mayDo(one, 'plan.decide'));
      const where = deps.environments().flatMap((environment) => {
        const to = others.filter((one) => !decidesIn(one, environment)).map((one) => one.id);
        return decidesIn(person, environment) && to.length > 0 ? [{ environment, to }] : [];
      });
      return { longestMs, where };
    },

    ask({ person, origin, to, environment, until, reason }) {
      if (!deps.environments().some((known) => known === environment))
        return no(`There is no environment ${environment}.`, `There are ${deps.environments().join(', ')}.`);
      const statement: DelegationStatement = {
        type: 'https://countersign.dev/delegation/v1',
        person,
        to: asId<ActorId>(to),
        environment: asId<EnvironmentId>(environment),
        reason,
        at: instantOf(deps.now()),
        until,
      };
      const command = `countersign person delegate --as ${person} --to ${to} --environment ${environment} --until ${until} --reason TEXT`;
      return signing.ask(DELEGATION_TYPE, statement, { origin, command });
    },

    async receive(signed) {
      const taken = signing.take(DELEGATION_TYPE, signed, openDelegation);
      return 'refused' in taken ? taken : delegations.receive(taken.envelope);
    },

    askToEnd({ person, origin, delegation, reason }) {
      const statement: DelegationEndStatement = {
        type: 'https://countersign.dev/delegation-end/v1',
        delegation,
        person,
        reason,
        at: instantOf(deps.now()),
      };
      const command = `countersign person end-delegation ${delegation} --as ${person} --reason TEXT`;
      return signing.ask(DELEGATION_END_TYPE, statement, { origin, command });
    },

    async end(delegation, signed) {
      const taken = signing.take(DELEGATION_END_TYPE, signed, openDelegationEnd);
      return 'refused' in taken ? taken : delegations.end(delegation, taken.envelope);
    },
  };
}

function no(message: string, hint: string): Refused {
  return { refused: { refused: 'denied', message, hint } };
}

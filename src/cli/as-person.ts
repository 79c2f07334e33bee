import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { loadPersonKey, type PersonKey } from '../approval/person-key.ts';
import type { Person } from '../domain/actor.ts';
import { type ActorId, asId } from '../domain/ids.ts';
import { RefusalError } from '../domain/refusal.ts';
import { mayDo, noRight, noRightOfAgent, type Right } from '../domain/rights.ts';
import type { Countersign } from '../server/open-countersign.ts';

/**
 * The person that `--as` names.
 *
 * @param right what they are about to do; `null` where everybody may.
 * @throws RefusalError for anybody who is no person of the configuration, or has not the right.
 */
export function personNamed({ config, people }: Countersign, name: string, right: Right | null): Person {
  const actor = config.actors.get(asId<ActorId>(name));
  if (actor === undefined)
    throw new RefusalError({
      refused: 'denied',
      message: `There is no person ${name}.`,
      hint: `There are ${[...config.actors.values()]
        .filter(({ kind }) => kind === 'person')
        .map(({ id }) => id)
        .join(', ')}.`,
    });
  if (actor.kind === 'approval agent') throw new RefusalError(noRightOfAgent(actor, right ?? 'plan.read'));
  if (actor.kind !== 'person') {
    throw new RefusalError({
      refused: 'denied',
      message: `${name} is ${actor.kind === 'agent' ? 'an agent' : 'a service'}: only people decide on plans.`,
      hint: 'A person decides with their own key.',
    });
  }
  if (right !== null && !mayDo(actor, right)) throw new RefusalError(noRight(actor, right));
  return people.get(actor.id) ?? actor;
}

/** The person's own private key. @throws RefusalError when it is missing, or is somebody else's. */
export function keyOf({ config }: Countersign, person: Person, named: string | undefined): PersonKey {
  const file = named ?? join(config.directory, 'keys', 'people', `${person.id}.key`);
  if (!existsSync(file)) {
    throw new RefusalError({
      refused: 'denied',
      message: `There is no key of ${person.id} at ${file}.`,
      hint: 'Name yours with --key. Nobody else’s key makes you this person.',
    });
  }
  const key = loadPersonKey(file);
  if (!person.publicKeys.some((known) => Buffer.from(known).equals(key.publicKey))) {
    throw new RefusalError({
      refused: 'denied',
      message: `The key in ${file} is not one of ${person.id}’s.`,
      hint: 'The configuration lists the public keys that count, under actors.people.',
    });
  }
  return key;
}

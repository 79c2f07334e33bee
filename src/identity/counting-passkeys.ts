import { createHash } from 'node:crypto';
import type { Person } from '../domain/actor.ts';
import { type ActorId, asId } from '../domain/ids.ts';
import type { Passkey } from '../domain/passkey.ts';
import type { Refusal } from '../domain/refusal.ts';

/** A passkey that somebody who may has vouched for. */
export function passkeyThatCounts(
  people: ReadonlyMap<ActorId, Person>,
  id: string,
  person: string,
): Passkey | undefined {
  return people.get(asId<ActorId>(person))?.passkeys.find((passkey) => passkey.id === id);
}

/** By what authenticators call a person: it tells nobody who that is. */
export function userHandle(person: ActorId): Uint8Array<ArrayBuffer> {
  return new Uint8Array(createHash('sha256').update(`countersign person ${person}`).digest());
}

export function handleText(person: ActorId): string {
  return Buffer.from(userHandle(person)).toString('base64url');
}

export function confirmHint(id: string, person: string): string {
  return `At a machine with your key: countersign passkey confirm ${id} --as ${person}`;
}

export function doesNotCount(why: string, hint: string): { readonly refused: Refusal } {
  return { refused: { refused: 'denied', message: `This does not count: ${why}.`, hint } };
}

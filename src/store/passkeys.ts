import type { ActorId, Instant } from '../domain/ids.ts';
import { type PasskeyRow, statements } from './schema.ts';
import type { Store } from './store.ts';
import { type Write, write } from './write.ts';

/** Fails when the credential is known already, whoever has it. */
export function insertPasskey(row: PasskeyRow): Write {
  return write(statements.insertInto('passkeys').values(row), 1);
}

/** Keeps who vouched for it last. Fails when it is gone. */
export function confirmPasskey(id: string, envelope: string): Write {
  return write(statements.updateTable('passkeys').set({ envelope }).where('id', '=', id), 1);
}

export function removePasskey(id: string): Write {
  return write(statements.deleteFrom('passkeys').where('id', '=', id), 1);
}

/** Fails when the authenticator has counted as far before: then there are two of it. Those that don't count say 0. */
export function countPasskey(id: string, counter: number): Write {
  return write(
    statements
      .updateTable('passkeys')
      .set({ counter })
      .where('id', '=', id)
      .where(({ or, eb }) => or([eb('counter', '<', counter), ...(counter === 0 ? [eb('counter', '=', 0)] : [])])),
    1,
  );
}

export async function allPasskeys(store: Store): Promise<readonly PasskeyRow[]> {
  return store.all(statements.selectFrom('passkeys').selectAll().orderBy('registered_at').orderBy('id'));
}

export async function passkeysOf(store: Store, person: ActorId): Promise<readonly PasskeyRow[]> {
  return store.all(statements.selectFrom('passkeys').selectAll().where('person', '=', person).orderBy('registered_at'));
}

/** Fails when it was spent before: an answer to it counts once, on whichever gateway. */
export function spendChallenge(challenge: string, expires: Instant): Write {
  return write(statements.insertInto('spent_challenges').values({ challenge, expires_at: expires }), 1);
}

export function forgetChallenges(before: Instant): Write {
  return write(statements.deleteFrom('spent_challenges').where('expires_at', '<', before));
}

import type { ActorId, Instant } from '../domain/ids.ts';
import { type PersonSessionRow, statements } from './schema.ts';
import type { Store } from './store.ts';
import { type Write, write } from './write.ts';

export function insertPersonSession(row: PersonSessionRow): Write {
  return write(statements.insertInto('person_sessions').values(row), 1);
}

/** A session that has not been ended; whether its time is over is for the reader to say. */
export async function personSessionByHash(store: Store, tokenHash: string): Promise<PersonSessionRow | undefined> {
  return store.first(
    statements
      .selectFrom('person_sessions')
      .selectAll()
      .where('token_hash', '=', tokenHash)
      .where('ended_at', 'is', null),
  );
}

/** Those that have neither been ended nor reached their longest time, the newest first. */
export async function openPersonSessions(store: Store, now: Instant): Promise<readonly PersonSessionRow[]> {
  return store.all(
    statements
      .selectFrom('person_sessions')
      .selectAll()
      .where('ended_at', 'is', null)
      .where('ends_at', '>', now)
      .orderBy('opened_at', 'desc')
      .limit(1000),
  );
}

export function endPersonSession(id: string, at: Instant): Write {
  return write(
    statements.updateTable('person_sessions').set({ ended_at: at }).where('id', '=', id).where('ended_at', 'is', null),
    1,
  );
}

export function touchPersonSession(id: string, at: Instant): Write {
  return write(
    statements.updateTable('person_sessions').set({ seen_at: at }).where('id', '=', id).where('ended_at', 'is', null),
  );
}

export function stepUpPersonSession(id: string, person: ActorId, at: Instant): Write {
  return write(
    statements
      .updateTable('person_sessions')
      .set({ stepped_up_at: at })
      .where('id', '=', id)
      .where('person', '=', person)
      .where('ended_at', 'is', null),
    1,
  );
}

/** What ended or ran out before then is kept no longer; the ledger has who signed in when. */
export function forgetPersonSessions(before: Instant): Write {
  return write(statements.deleteFrom('person_sessions').where('ends_at', '<', before));
}

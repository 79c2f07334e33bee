import { commandComplete, noticeResponse } from '../engines/postgres/wire-messages.ts';
import { EngineFailure, type ReplySink } from '../engines/session.ts';
import type { ActorSession } from './actor-session.ts';
import type { Judgement } from './judge.ts';
import type { Outcome } from './outcome.ts';

/**
 * Answers a definition that asks for what is already so as PostgreSQL does: a notice, and that it is done. No session's
 * login could run it to that end: the server asks for the right to make a thing before it looks whether there is one.
 */
export async function answerAlreadySo(
  session: ActorSession,
  { so, analysis }: Extract<Judgement, { verdict: 'already so' }>,
  sink: ReplySink,
): Promise<Outcome> {
  const connection = await session.connectionFor(null);
  let heard: string | null | undefined;
  try {
    // Asked where the statement would have run: in a failed transaction it fails like any other.
    const [shown] = await connection.own("SELECT pg_catalog.current_setting('client_min_messages')");
    heard = shown?.rows[0]?.[0];
  } catch (error) {
    if (!(error instanceof EngineFailure)) throw error;
    return { outcome: 'failed', failure: error.failure };
  }
  session.noteRead(analysis);
  const replies = session.output(sink);
  if (heard !== 'warning' && heard !== 'error') for (const notice of so.notices) replies.write(noticeResponse(notice));
  replies.write(commandComplete(so.tag));
  return { outcome: 'done' };
}

import type { DatabaseFailure } from '../domain/database-failure.ts';
import type { StatementAnswer } from '../domain/statement-answer.ts';
import { commandComplete, noticeResponse } from '../engines/postgres/wire-messages.ts';
import type { ReplySink } from '../engines/session.ts';

/** Says to a client what the database answered to statements that were run in their place, after what the gateway says of it. */
export function writeAnswers(
  sink: ReplySink,
  said: { readonly answers: readonly StatementAnswer[]; readonly notices: readonly DatabaseFailure[] },
): void {
  for (const notice of said.notices) sink.write(noticeResponse(notice));
  for (const { command, notices } of said.answers) {
    for (const notice of notices) sink.write(noticeResponse(notice));
    sink.write(commandComplete(command));
  }
}

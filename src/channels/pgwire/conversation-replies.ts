import { failureOf, type Refusal } from '../../domain/refusal.ts';
import { errorResponse } from '../../engines/postgres/wire-messages.ts';
import type { ReplySink } from '../../engines/session.ts';
import type { Outcome } from '../../pipeline/outcome.ts';
import { writeAnswers } from '../../pipeline/write-answers.ts';

/** Says to a client what came of something, in the protocol's words. */
export function tell(sink: ReplySink, outcome: Outcome): void {
  switch (outcome.outcome) {
    case 'done':
      return;
    case 'applied':
    case 'gathered':
      writeAnswers(sink, outcome);
      return;
    case 'failed':
      sink.write(errorResponse(outcome.failure));
      return;
    case 'refused':
      sink.write(errorResponse(failureOf(outcome.refusal)));
      return;
    default:
      outcome satisfies never;
  }
}

export function unsupportedMessage(what: string): Refusal {
  return {
    refused: 'unsupported',
    message: `${what} is not carried through the gateway.`,
    hint: 'Send the statement as an ordinary query.',
  };
}

import type { Countersign } from './open-countersign.ts';
import { type Repeated, repeat } from './repeat.ts';

/** How long an actor may go on beyond what trips a breaker, at most: what loses anything was refused all along. */
const FOLLOW_EVERY_MS = 250;

/** Lets the breakers of a gateway follow the ledger for as long as it serves. */
export function followBreakers({ breakers, log }: Countersign): Repeated {
  return repeat({
    everyMs: FOLLOW_EVERY_MS,
    run: () => breakers.follow(),
    onError: (error) => log.error({ err: error }, 'the breakers could not follow the ledger; they go on'),
  });
}

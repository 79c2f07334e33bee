import type { Countersign } from './open-countersign.ts';

/** How long an actor may go on beyond what trips a breaker, at most: what loses anything was refused all along. */
const FOLLOW_EVERY_MS = 250;

/** Lets the breakers of a gateway follow the ledger for as long as it serves. */
export function followBreakers({ breakers, log }: Countersign): { close(): Promise<void> } {
  let following: Promise<unknown> | null = null;
  const timer = setInterval(() => {
    following ??= breakers
      .follow()
      .catch((error: unknown) => log.error({ err: error }, 'the breakers could not follow the ledger; they go on'))
      .finally(() => {
        following = null;
      });
  }, FOLLOW_EVERY_MS);
  timer.unref();
  return {
    async close() {
      clearInterval(timer);
      await following;
    },
  };
}

import type { Call } from './tool.ts';

const ALIVE_EVERY_MS = 5_000;

/**
 * Keeps a client that asked for it told while `work` lasts: at once of each step, and every few seconds that the call is
 * alive. Progress counts seconds and only ever grows (MCP, "Progress"), and none comes after the answer.
 *
 * @param first what is being done until `work` says something else.
 */
export async function tellProgress<Result>(
  call: Call,
  first: string,
  work: (step: (what: string) => void) => Promise<Result>,
): Promise<Result> {
  const startedMs = performance.now();
  let doing = first;
  let toldSeconds = 0;
  let telling = Promise.resolve();

  const tell = (): void => {
    const elapsedSeconds = Math.round(performance.now() - startedMs) / 1000;
    toldSeconds = Math.max(elapsedSeconds, toldSeconds + 0.001);
    const [seconds, what] = [toldSeconds, doing];
    telling = telling
      .then(() => call.progress(seconds, what))
      .catch((error: unknown) => call.log.debug({ err: error }, 'a client could not be told of progress'));
  };

  const alive = setInterval(tell, ALIVE_EVERY_MS);
  try {
    return await work((what) => {
      doing = what;
      tell();
    });
  } finally {
    clearInterval(alive);
    await telling;
  }
}

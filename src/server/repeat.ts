/** Work that is done again and again for as long as a gateway serves. */
export interface Repeated {
  /** Does it now instead of a little later; where it is being done, that is it. @returns when it has ended. */
  now(): Promise<void>;
  /** Not again. @returns when what is being done has ended. */
  close(): Promise<void>;
}

/** Does the same every so often, never twice at once. A failure is told, and the next time comes all the same. */
export function repeat(work: {
  readonly everyMs: number;
  readonly run: () => Promise<unknown>;
  readonly onError: (error: unknown) => void;
}): Repeated {
  let running: Promise<void> | null = null;

  function now(): Promise<void> {
    running ??= runOnce().finally(() => {
      running = null;
    });
    return running;
  }

  async function runOnce(): Promise<void> {
    try {
      await work.run();
    } catch (error) {
      work.onError(error);
    }
  }

  const timer = setInterval(() => void now(), work.everyMs);
  timer.unref();
  return {
    now,
    async close() {
      clearInterval(timer);
      await running;
    },
  };
}

import type { Activity, ActivityEntry } from './activity.ts';

/** Whoever watches is told of entries as they come, in order and without a gap. */
export interface LedgerTail {
  /** @param onEntries told of all that comes once this has resolved. @returns stops it. */
  follow(onEntries: (entries: readonly ActivityEntry[]) => void): Promise<() => void>;
  /** Looks now instead of a little later: something has changed. */
  look(): void;
  close(): Promise<void>;
}

/** How soon a person sees what another gateway did, where nothing tells of it. */
const LOOK_EVERY_MS = 100;
const AT_ONCE = 200;

/** Every change of the state has its entry in the ledger: who follows the ledger misses nothing. One loop for all. */
export function createLedgerTail(deps: {
  readonly activity: Pick<Activity, 'since' | 'size'>;
  readonly onFailure: (error: unknown) => void;
}): LedgerTail {
  const followers = new Set<(entries: readonly ActivityEntry[]) => void>();
  let timer: NodeJS.Timeout | undefined;
  let looking: Promise<void> | null = null;
  let seen: number | null = null;

  function look(): Promise<void> {
    if (followers.size === 0) return Promise.resolve();
    looking ??= tell()
      .catch(deps.onFailure)
      .finally(() => {
        looking = null;
      });
    return looking;
  }

  async function tell(): Promise<void> {
    const size = await deps.activity.size();
    seen ??= size;
    // Who wasn't looked at for long is not told of all of it: whoever watches asks anew anyway.
    seen = Math.max(seen, size - AT_ONCE);
    if (size === seen) return;
    const entries = await deps.activity.since(seen, AT_ONCE);
    seen = (entries.at(-1)?.index ?? seen - 1) + 1;
    for (const follower of followers) follower(entries);
  }

  return {
    async follow(onEntries) {
      followers.add(onEntries);
      timer ??= setInterval(() => void look(), LOOK_EVERY_MS).unref();
      await look();
      return () => {
        followers.delete(onEntries);
        if (followers.size > 0) return;
        clearInterval(timer);
        timer = undefined;
        seen = null;
      };
    },
    look: () => void look(),
    async close() {
      clearInterval(timer);
      followers.clear();
      await looking;
    },
  };
}

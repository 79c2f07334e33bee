import type { Activity, ActivityEntry } from './activity.ts';

/** What has come since the last time. */
export interface News {
  /** In their order. */
  readonly entries: readonly ActivityEntry[];
  /** There was more than is told one by one: whoever watches must ask anew. */
  readonly more: boolean;
}

type Follower = (news: News) => void;

/** Whoever watches is told of entries as they come, or that there were too many to tell. */
export interface LedgerTail {
  /** @param onNews told of all that comes once this has resolved. @returns stops it. */
  follow(onNews: Follower): Promise<() => void>;
  /** Looks now instead of a little later: something has changed. */
  look(): void;
  close(): Promise<void>;
}

/** How soon a person sees what another gateway did, where nothing tells of it. */
const LOOK_EVERY_MS = 100;
const AT_ONCE = 200;
/** A store that is gone is not asked ten times a second, and told of in the log as often. */
const QUIET_AFTER_FAILURE_MS = 5000;

/** Every change of the state has its entry in the ledger: who follows the ledger misses nothing. One loop for all. */
export function createLedgerTail(deps: {
  readonly activity: Pick<Activity, 'since' | 'size'>;
  readonly onFailure: (error: unknown) => void;
}): LedgerTail {
  const followers = new Set<Follower>();
  let timer: NodeJS.Timeout | undefined;
  let looking: Promise<void> | null = null;
  let seen: number | null = null;
  let quietUntilMs = 0;

  function look(): Promise<void> {
    if (followers.size === 0 || performance.now() < quietUntilMs) return Promise.resolve();
    looking ??= tell()
      .catch((error: unknown) => {
        quietUntilMs = performance.now() + QUIET_AFTER_FAILURE_MS;
        deps.onFailure(error);
      })
      .finally(() => {
        looking = null;
      });
    return looking;
  }

  async function tell(): Promise<void> {
    const size = await deps.activity.size();
    seen ??= size;
    if (size === seen) return;
    const from = Math.max(seen, size - AT_ONCE);
    const more = from > seen;
    const entries = await deps.activity.since(from, AT_ONCE);
    seen = (entries.at(-1)?.index ?? from - 1) + 1;
    for (const follower of followers) follower({ entries, more });
  }

  return {
    async follow(onNews) {
      followers.add(onNews);
      timer ??= setInterval(() => void look(), LOOK_EVERY_MS).unref();
      await look();
      return () => {
        followers.delete(onNews);
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

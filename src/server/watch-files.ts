import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type Repeated, repeat } from './repeat.ts';

/** Files to look at, and directories whose `*.cedar` files are looked at. */
export interface Watched {
  readonly files: readonly string[];
  readonly directory: string;
}

/** Whether the files are still as they lay for one look. What was read while somebody began to write is not what was saved. */
export type LieStill = () => Promise<boolean>;

/** Asked so often: people expect a saved file to count at once, and a few `stat`s cost nothing. */
const LOOK_EVERY_MS = 250;

/**
 * Calls when files have changed and then have lain still for one look: an editor writes in several steps. It looks rather
 * than being told: notifications follow no link that is set anew, which is how files are replaced in containers, and are
 * lost on network file systems.
 *
 * @param deps.onChange is not called again before it has ended; then once more where it says so.
 */
export function watchFiles(deps: {
  readonly watched: () => Watched;
  readonly onChange: (lieStill: LieStill) => Promise<'seen through' | 'try again'>;
  readonly onError: (error: unknown) => void;
}): Repeated {
  /** What was loaded before the first look may be older than what is seen then: so that, too, is a change. */
  let handled: string | undefined;
  let seen: string | undefined;
  let due = false;

  async function look(): Promise<void> {
    const now = await stateOf(deps.watched());
    const still = now === seen;
    seen = now;
    if (!still || (now === handled && !due)) return;
    handled = now;
    due = (await deps.onChange(async () => (await stateOf(deps.watched())) === now)) === 'try again';
  }

  return repeat({ everyMs: LOOK_EVERY_MS, run: look, onError: deps.onError });
}

/** Changes when one of the files does, comes or goes. */
async function stateOf({ files, directory }: Watched): Promise<string> {
  const names = await readdir(directory).catch(() => ['(unreadable)']);
  const policies = names.filter((name) => name.endsWith('.cedar')).sort();
  const all = [...files, ...policies.map((name) => join(directory, name))];
  const states = all.map(async (file) => {
    const found = await stat(file, { bigint: true }).catch(() => undefined);
    return found === undefined ? `${file} -` : `${file} ${found.mtimeNs} ${found.ctimeNs} ${found.size} ${found.ino}`;
  });
  return [directory, ...(await Promise.all(states))].join('\n');
}

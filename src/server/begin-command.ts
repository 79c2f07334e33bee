import { fork } from 'node:child_process';
import { constants, setPriority } from 'node:os';
import { createInterface } from 'node:readline';

/** How this program is called, so that it can call itself. */
export interface OwnCommand {
  readonly main: string;
  readonly config: string | undefined;
}

/** A command that runs beside the gateway. */
export interface BegunCommand {
  /** Its exit code, what it answered, and the last that it said; it never throws. */
  readonly ended: Promise<{ readonly code: number | null; readonly answer: string; readonly said: string }>;
  /** Ends it, and all that it began. */
  end(signal: 'SIGTERM' | 'SIGKILL'): void;
}

/**
 * Runs a command of this program as a process of its own, with lower priority: what it takes, the gateway doesn't lack,
 * and what it breaks, it breaks alone. It ends when the gateway does (`cli/beside-gateway.ts`).
 */
export function beginCommand(
  { main, config }: OwnCommand,
  args: readonly string[],
  onSaid: (line: string) => void,
): BegunCommand {
  const child = fork(
    main,
    [...args, '--beside-gateway', '--json', ...(config === undefined ? [] : ['--config', config])],
    // A group of its own, so that what it begins ends with it.
    { stdio: ['ignore', 'pipe', 'pipe', 'ipc'], detached: true },
  );
  if (child.pid !== undefined) setPriority(child.pid, constants.priority.PRIORITY_BELOW_NORMAL);
  let answer = '';
  let said = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    answer += text;
  });
  if (child.stderr !== null)
    createInterface({ input: child.stderr }).on('line', (line) => {
      said = line;
      onSaid(line);
    });
  const ended = new Promise<Awaited<BegunCommand['ended']>>((resolve) => {
    child.once('error', (error) => resolve({ code: null, answer, said: error.message }));
    child.once('close', (code) => resolve({ code, answer, said }));
  });
  return {
    ended,
    end(signal) {
      if (child.pid === undefined) return;
      try {
        process.kill(-child.pid, signal);
      } catch (error) {
        // It has ended already.
        if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
      }
    },
  };
}

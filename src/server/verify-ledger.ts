import { z } from 'zod';
import { instantOf } from '../domain/ids.ts';
import type { Verdict } from '../ledger/verify.ts';
import type { LedgerVerifier, Verification } from '../pipeline/oversight/evidence.ts';
import { type BegunCommand, beginCommand, type OwnCommand } from './begin-command.ts';
import type { Countersign } from './open-countersign.ts';

/** Not at once: a gateway that has just begun has other work. */
const FIRST_AFTER_MS = 5 * 60_000;
const EVERY_MS = 6 * 3_600_000;
/** What takes long is done more rarely: it never takes more than this part of the time. */
const AT_MOST_ONE_PART_OF = 50;
const LOOK_EVERY_MS = 60_000;

/** What `ledger verify --json` answers, as far as others read it. */
const VERDICT = z.union([
  z.looseObject({ verdict: z.literal('sound'), entries: z.int(), checkpoints: z.int(), root: z.string() }),
  z.looseObject({ verdict: z.literal('tampered'), entry: z.int().nullable(), problem: z.string() }),
  z.looseObject({ verdict: z.literal('unreadable'), problem: z.string() }),
]);

/**
 * Verifies the whole ledger now and then, and when somebody asks: the command that an auditor would run, in a process
 * beside the gateway. What it found is kept in memory alone, so that nobody who writes the state can make it say more.
 */
export function verifyLedgerBeside(
  { log, clock }: Pick<Countersign, 'log' | 'clock'>,
  own: OwnCommand,
): LedgerVerifier & { close(): Promise<void> } {
  const startedMs = clock.now();
  let last: Verification['last'] = null;
  let begun: { readonly atMs: number; readonly command: BegunCommand; readonly ended: Promise<void> } | null = null;
  let closing = false;

  function begin(): void {
    if (begun !== null || closing) return;
    const atMs = clock.now();
    const command = beginCommand(own, ['ledger', 'verify'], () => undefined);
    const ended = command.ended.then(({ code, answer, said }) => {
      begun = null;
      if (closing) return;
      last = { at: instantOf(atMs), tookMs: clock.now() - atMs, verdict: verdictOf(answer, code, said) };
      tell(last);
    });
    begun = { atMs, command, ended };
  }

  function tell({ verdict, tookMs }: NonNullable<Verification['last']>): void {
    if (verdict.verdict === 'sound') {
      log.info({ entries: verdict.entries, tookMs }, 'the ledger was read whole, and is what was signed');
      return;
    }
    const said =
      verdict.verdict === 'tampered'
        ? 'THE LEDGER IS NOT WHAT WAS SIGNED: keep it as evidence, and look at it now'
        : 'the ledger could not be verified';
    log.error({ verdict: verdict.verdict, problem: verdict.problem, tookMs }, said);
  }

  function isDue(): boolean {
    if (last === null) return clock.now() - startedMs > FIRST_AFTER_MS;
    return clock.now() - Date.parse(last.at) > Math.max(EVERY_MS, AT_MOST_ONE_PART_OF * last.tookMs);
  }

  const timer = setInterval(() => {
    if (isDue()) begin();
  }, LOOK_EVERY_MS);
  timer.unref();
  return {
    known: () => ({
      since: instantOf(startedMs),
      running: begun === null ? null : instantOf(begun.atMs),
      last,
    }),
    begin,
    async close() {
      closing = true;
      clearInterval(timer);
      begun?.command.end('SIGTERM');
      await begun?.ended;
    },
  };
}

/** Whatever is not the answer of a verification that came to its end has verified nothing. */
function verdictOf(answer: string, code: number | null, said: string): Verdict {
  try {
    const verdict = VERDICT.safeParse(JSON.parse(answer));
    const expected = { sound: 0, tampered: 1, unreadable: 2 } as const;
    if (verdict.success && code === expected[verdict.data.verdict]) return verdict.data as Verdict;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  return {
    verdict: 'unreadable',
    problem: `the verification ended with ${code ?? 'a signal'}: ${said || 'it said nothing'}`,
  };
}

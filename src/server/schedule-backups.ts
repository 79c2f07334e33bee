import { randomBytes } from 'node:crypto';
import { dueAt } from '../backups/due.ts';
import { backedUp } from '../config/backup.ts';
import type { TargetId } from '../domain/ids.ts';
import { backupFigures, turnName } from '../ledger/backup-figures.ts';
import { endTurn, keepTurn, noTurn, type Turn, takeTurn, turns } from '../store/turns.ts';
import { type BegunCommand, beginCommand, type OwnCommand } from './begin-command.ts';
import type { Countersign } from './open-countersign.ts';
import { repeat } from './repeat.ts';

/** What a gateway does by itself when it is due. */
const WORK = {
  backup: ['backup', 'create'],
  drill: ['drill', 'run'],
} as const;

const LOOK_EVERY_MS = 3000;
/** Somebody else takes over what hasn't been heard of for so long. */
const TURN_MS = 20_000;
const KEEP_EVERY_MS = 4000;
const PROGRESS_EVERY_MS = 10_000;
/** Of so many entries the newest of each target is looked for. */
const LOOK_BACK = 1000;

/**
 * Makes backups and drills them when their schedule says it, one after the other, each in a process beside the gateway. Of
 * several gateways one does it: it takes the turn in the state, keeps it while the work runs, and stops the work when it
 * can't. What the work recorded is in the ledger by its own doing; that it could not be done is recorded here, and told of from there.
 */
export function scheduleBackups(countersign: Countersign, own: OwnCommand): { close(): Promise<void> } {
  const { log, store, proof } = countersign;
  const holder = randomBytes(8).toString('hex');
  let sinceMs: number | undefined;
  let running: BegunCommand | undefined;
  let closing = false;

  async function look(): Promise<void> {
    const scheduled = backedUp(countersign.config).filter(({ create, drill }) => create !== null || drill !== null);
    if (scheduled.length === 0) return;
    const nowMs = await store.nowMs();
    sinceMs ??= nowMs;
    const figures = await backupFigures(store, scheduled, LOOK_BACK);
    const taken = await turns(store);
    for (const { target, madeMs, works } of figures) {
      for (const { name, ...work } of works) {
        const seen = taken.get(turnName(name, target)) ?? noTurn(turnName(name, target));
        const due = dueAt(work.recurring, { lastMs: work.lastMs, sinceMs, tries: work });
        // There is nothing to drill before there is a backup.
        if (closing || due > nowMs || seen.untilMs > nowMs || (name === 'drill' && madeMs === null)) continue;
        const guarded = await store.commit([takeTurn(seen, { holder, nowMs, untilMs: nowMs + TURN_MS })]);
        if (guarded !== null) continue;
        // What is known is old afterwards.
        return run(name, target, seen);
      }
    }
  }

  async function run(work: keyof typeof WORK, target: TargetId, seen: Turn): Promise<void> {
    const about = { target, work };
    log.info(about, 'a backup or drill is due, and begins');
    let saidAtMs = 0;
    const begun = beginCommand(own, [...WORK[work], '--target', target], (line) => {
      if (Date.now() - saidAtMs < PROGRESS_EVERY_MS) return;
      saidAtMs = Date.now();
      log.info({ ...about, progress: line.replaceAll(COLOURS, '') }, 'a backup or drill goes on');
    });
    running = begun;
    let lost = false;
    const keeping = setInterval(() => {
      keep(seen.name).catch((error: unknown) => {
        lost = true;
        log.warn({ ...about, err: error }, 'the turn could not be kept: a backup or drill is stopped');
        begun.end('SIGKILL');
      });
    }, KEEP_EVERY_MS);
    const { code, answer, said } = await begun.ended;
    clearInterval(keeping);
    running = undefined;
    if (closing || lost) {
      await store.commit([endTurn(seen.name, holder, null)]);
      return;
    }
    const why = whyNotDone(code, answer, said);
    const failures = why === null ? 0 : seen.failures + 1;
    await store.commit([endTurn(seen.name, holder, { failures, why })]);
    if (why === null) return log.info(about, 'a backup or drill has ended');
    const fact = { target, what: work, why, failures };
    log.error(fact, 'a backup or drill that was due could not be made');
    await proof.record({ kind: 'not done', subject: seen.name, body: fact });
  }

  async function keep(name: string): Promise<void> {
    const untilMs = (await store.nowMs()) + TURN_MS;
    if ((await store.commit([keepTurn(name, holder, untilMs)])) !== null) throw new Error('another gateway has it');
  }

  const looking = repeat({
    everyMs: LOOK_EVERY_MS,
    run: look,
    onError: (error) => log.error({ err: error }, 'what backups are due could not be looked for'),
  });
  return {
    async close() {
      closing = true;
      running?.end('SIGTERM');
      await looking.close();
    },
  };
}

/** Terminal colours. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: that is what they begin with
const COLOURS = /\u001b\[\d+m/g;

/** A drill that found a backup broken was made, and has told of it itself. */
function whyNotDone(code: number | null, answer: string, said: string): string | null {
  if (code === 0) return null;
  try {
    const told = JSON.parse(answer) as { readonly passed?: boolean; readonly refused?: { readonly message: string } };
    if (told.passed !== undefined) return null;
    if (told.refused !== undefined) return told.refused.message;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  return `it ended with ${code ?? 'a signal'}${said === '' ? '' : `: ${said.replaceAll(COLOURS, '')}`}`;
}

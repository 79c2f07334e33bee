import { randomBytes } from 'node:crypto';
import { dueAt } from '../backups/due.ts';
import type { TargetId } from '../domain/ids.ts';
import { endTurn, noTurn, type Turn, takeTurn, turns } from '../store/turns.ts';
import type { Countersign } from './open-countersign.ts';
import { repeat } from './repeat.ts';

const LOOK_EVERY_MS = 3000;
/** Longer than a look at a large schema; whoever took the turn and died is not waited for beyond it. */
const TURN_MS = 120_000;

/**
 * Looks for drift when a target's schedule says it, one target after the other. Of several gateways one does it: it takes
 * the turn in the state. What is found is in the ledger, and told of from there; so is that nobody could look.
 */
export function scheduleDrift(countersign: Countersign): { close(): Promise<void> } {
  const { log, store, proof, drifts } = countersign;
  const holder = randomBytes(8).toString('hex');
  let sinceMs: number | undefined;
  let closing = false;

  async function look(): Promise<void> {
    const scheduled = [...countersign.config.targets.values()].flatMap(({ target, drift }) =>
      drift === null ? [] : [{ id: target.id, recurring: drift }],
    );
    if (scheduled.length === 0) return;
    const nowMs = await store.nowMs();
    sinceMs ??= nowMs;
    const taken = await turns(store);
    await drifts.refresh();
    for (const { id, recurring } of scheduled) {
      const seen = taken.get(turnName(id)) ?? noTurn(turnName(id));
      const checkedAt = drifts.known(id)?.checkedAt;
      const lastMs = checkedAt === undefined ? null : Date.parse(checkedAt);
      const due = dueAt(recurring, { lastMs, sinceMs, tries: seen });
      if (closing || due > nowMs || seen.untilMs > nowMs) continue;
      const guarded = await store.commit([takeTurn(seen, { holder, nowMs, untilMs: nowMs + TURN_MS })]);
      if (guarded === null) await checkOne(id, seen);
    }
  }

  async function checkOne(id: TargetId, seen: Turn): Promise<void> {
    const why = await whyUnseen(id);
    const failures = why === null ? 0 : seen.failures + 1;
    await store.commit([endTurn(seen.name, holder, { failures, why })]);
    if (why === null) return;
    const fact = { target: id, what: 'drift', why, failures };
    log.error(fact, 'a target could not be looked at for drift');
    await proof.record({ kind: 'not done', subject: seen.name, body: fact });
  }

  async function whyUnseen(id: TargetId): Promise<string | null> {
    try {
      const found = await drifts.check(id, proof.node);
      if ('refused' in found) return found.refused.message;
      const { state, news } = found;
      if (news && state.objects > 0) log.warn({ target: id, objects: state.objects }, 'a target drifts');
      else if (news) log.info({ target: id }, 'a target is as its baseline has it again');
      return null;
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
  }

  const looking = repeat({
    everyMs: LOOK_EVERY_MS,
    run: look,
    onError: (error) => log.error({ err: error }, 'what is to be looked at for drift could not be found out'),
  });
  return {
    async close() {
      closing = true;
      await looking.close();
    },
  };
}

/** Under which name it is known whose turn it is. */
function turnName(target: TargetId): string {
  return `drift of ${target}`;
}

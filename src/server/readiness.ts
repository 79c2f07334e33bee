import type { TargetId } from '../domain/ids.ts';
import { identityDigest } from '../engines/postgres/connect.ts';
import type { Countersign } from './open-countersign.ts';

/** One thing that a gateway needs to serve. */
export interface Need {
  /** `gateway`, `state`, or `target` with its id. */
  readonly part: string;
  /** Why it isn't there, in words that whoever asks may read: no address, no login, no error of another system. */
  readonly missing: string | null;
}

export interface Readiness {
  /** Looks at everything; an answer is kept for a second, so that asking often costs nothing. */
  needs(): Promise<readonly Need[]>;
  /** From now on the gateway lets what runs end, and is no longer ready for more. */
  drain(): void;
}

const KEPT_MS = 1000;
/** What takes longer to answer is not there for an actor either. */
const PATIENCE_MS = 2500;

/** What a load balancer, and whoever is on call, must know: can this gateway carry a statement and prove it (G7, G9)? */
export function createReadiness(countersign: Countersign): Readiness {
  let draining = false;
  let looked: { readonly atMs: number; readonly needs: Promise<readonly Need[]> } | null = null;

  async function look(): Promise<readonly Need[]> {
    const targets = [...countersign.config.targets.keys()].map(async (id) => ({
      part: `target ${id}`,
      missing: await inTime(targetMissing(id), 'it does not answer in time'),
    }));
    const state = inTime(stateMissing(), 'it does not answer in time');
    return [{ part: 'state', missing: await state }, ...(await Promise.all(targets))];
  }

  async function stateMissing(): Promise<string | null> {
    try {
      await countersign.check();
      return null;
    } catch (error) {
      countersign.log.error({ err: error }, 'the state store or its ledger can’t be relied on');
      const corrupt = error instanceof Error && error.name === 'LedgerCorrupt';
      return corrupt ? 'its ledger is not as it was signed: countersign ledger verify' : 'it can’t be written';
    }
  }

  async function targetMissing(id: TargetId): Promise<string | null> {
    const target = await countersign.target(id);
    if ('refused' in target) {
      return target.refused === 'identityMismatch' ? 'what answers is not the pinned database' : 'it can’t be reached';
    }
    try {
      const identity = await target.engine.identify();
      if (identityDigest(identity) === target.engine.target.identity) return null;
      return 'what answers is not the pinned database';
    } catch (error) {
      countersign.log.warn({ err: error, target: id }, 'a target can’t be asked who it is');
      return 'it can’t be reached';
    }
  }

  return {
    async needs() {
      const nowMs = performance.now();
      if (looked === null || nowMs - looked.atMs > KEPT_MS) looked = { atMs: nowMs, needs: look() };
      const [standingDown] = countersign.halts.standingDown();
      const gateway = draining ? 'it is ending' : (standingDown?.message ?? null);
      return [{ part: 'gateway', missing: gateway }, ...(await looked.needs)];
    },
    drain() {
      draining = true;
    },
  };
}

function inTime(answer: Promise<string | null>, otherwise: string): Promise<string | null> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<string>((resolve) => {
    timer = setTimeout(() => resolve(otherwise), PATIENCE_MS);
  });
  return Promise.race([answer, late]).finally(() => clearTimeout(timer));
}

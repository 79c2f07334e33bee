import { analyse as analyseStatement } from '../analysis/analyse.ts';
import { createAnalysisCache } from '../analysis/analysis-cache.ts';
import { initAnalyser } from '../analysis/parse.ts';
import type { Config } from '../config/load.ts';
import { type Branch, isBranchId } from '../domain/branch.ts';
import type { TargetId } from '../domain/ids.ts';
import { type Refusal, RefusalError } from '../domain/refusal.ts';
import type { Target } from '../domain/target.ts';
import type { TargetCredentials } from '../engines/engine.ts';
import { openPostgresTarget } from '../engines/postgres/target.ts';
import { noBranch } from '../pipeline/branches.ts';
import { createGovernedTarget, type GovernedTarget } from '../pipeline/governed-target.ts';
import type { Observer } from '../pipeline/observer.ts';
import type { Log } from '../pipeline/proof.ts';
import { rulesInForce, type TargetRules, targetGone } from '../pipeline/target-rules.ts';
import type { Vouchers } from '../pipeline/vouchers.ts';
import { branchAsTarget } from './copies-of.ts';

/** Targets and branches, each opened when it is first asked for, and then kept. */
export interface GovernedTargets {
  /** What can't be opened is tried anew the next time. */
  open(id: TargetId): Promise<GovernedTarget | Refusal>;
  /** Lets go of those that are there no more. */
  closeGone(isThere: (id: TargetId) => boolean): Promise<void>;
  close(): Promise<void>;
}

export function createGovernedTargets(deps: {
  /** What governs now. */
  readonly config: () => Config;
  readonly branch: (id: TargetId) => Branch | undefined;
  readonly rules: (id: TargetId) => TargetRules | undefined;
  readonly vouchers: Vouchers;
  readonly observer: Observer;
  /** Told of every error in reaching one. */
  readonly onUnreached: (id: TargetId, error: unknown) => void;
  readonly log: Log;
}): GovernedTargets {
  const { observer, log, onUnreached } = deps;
  const analyse = createAnalysisCache(observer.analysing(analyseStatement));
  const opened = new Map<TargetId, Promise<GovernedTarget>>();

  function connectionOf(id: TargetId): { readonly target: Target; readonly credentials: TargetCredentials } {
    const branch = deps.branch(id);
    const configured = deps.config().targets.get(branch?.of ?? id);
    if (configured === undefined) throw new RefusalError(isBranchId(id) ? noBranch(id) : targetGone(id));
    if (branch !== undefined) {
      const copy = branch.copy === null ? undefined : branchAsTarget({ ...branch, copy: branch.copy }, configured);
      if (copy === undefined) throw new RefusalError(noBranch(id));
      return copy;
    }
    const { target, session, apply } = configured;
    return {
      target,
      credentials: {
        session: { user: session.user, password: session.password.reveal() },
        apply: { user: apply.user, password: apply.password.reveal() },
      },
    };
  }

  async function opening(id: TargetId): Promise<GovernedTarget> {
    const { target, credentials } = connectionOf(id);
    // Not earlier: most commands look at no statement, and loading the parser takes longer than what they do.
    await initAnalyser();
    const engine = await openPostgresTarget({
      target,
      credentials,
      keepsWrites: () => deps.rules(id)?.keepsWrites === true,
      onTrouble(error) {
        onUnreached(id, error);
        log.warn({ err: error, target: id }, 'the catalogue of the target could not be followed');
      },
    });
    return createGovernedTarget({
      rules: rulesInForce(id, () => deps.rules(id)),
      engine: observer.engine(engine),
      analyse,
      vouchers: () => deps.vouchers.on(id),
    });
  }

  async function letGo(found: Promise<GovernedTarget>): Promise<void> {
    await (await found.catch(() => undefined))?.engine.close();
  }

  return {
    async open(id) {
      const found = opened.get(id) ?? opening(id);
      opened.set(id, found);
      try {
        return await found;
      } catch (error) {
        opened.delete(id);
        onUnreached(id, error);
        if (error instanceof RefusalError) return error.refusal;
        log.error({ err: error, target: id }, 'the target could not be opened');
        return {
          refused: 'unavailable',
          message: `The target ${id} can’t be governed now: ${error instanceof Error ? error.message : String(error)}.`,
          hint: 'An operator must look: `countersign doctor` says what is wrong, and how to mend it.',
        };
      }
    },
    async closeGone(isThere) {
      for (const [id, found] of opened) {
        if (isThere(id)) continue;
        opened.delete(id);
        await letGo(found);
      }
    },
    async close() {
      for (const found of opened.values()) await letGo(found);
    },
  };
}

import type { Config } from '../config/load.ts';
import { ConfigError } from '../config/parse-yaml.ts';
import type { ConfiguredTarget } from '../config/targets.ts';
import { type Digest, instantOf } from '../domain/ids.ts';
import { LedgerUnavailable } from '../ledger/ledger.ts';
import type { ReloadStatus } from '../pipeline/gateway.ts';
import { PolicyError } from '../policy/policy-set.ts';
import { governingDigest } from './governing-digest.ts';
import { type Governance, loadGovernance } from './load-governance.ts';
import type { Countersign } from './open-countersign.ts';
import type { LieStill } from './watch-files.ts';

/** Brings what the files hold into force while the gateway runs, or keeps what is and says why. */
export interface Reload {
  /**
   * One at a time; asked for meanwhile, it looks once more. Never throws: what is wrong is logged, recorded and shown.
   *
   * @param lieStill files that no longer do when they have been read are left to who looks next.
   * @returns `try again` when it is not the files that are wrong: the ledger could not be written.
   */
  now(lieStill?: LieStill): Promise<'seen through' | 'try again'>;
  /**
   * Others decide by this digest from now on: where the files hold just that already, they are in force at once. What else
   * they hold is left to who looks whether they lie still.
   */
  follow(digest: Digest): Promise<void>;
  /** Why the newest files are not in force; `null` when they are. */
  status(): ReloadStatus | null;
}

export function createReload(
  countersign: Countersign,
  deps: {
    /** Ends the sessions that have lost their target or their agent. */
    readonly endSessions: () => Promise<void>;
  },
): Reload {
  const { log, proof, clock } = countersign;
  let failed: ReloadStatus | null = null;
  let running: Promise<'seen through' | 'try again'> | null = null;
  let asked: LieStill | null = null;
  let turn: Promise<void> = Promise.resolve();

  async function loop(): Promise<'seen through' | 'try again'> {
    try {
      while (asked !== null) {
        const lieStill: LieStill = asked;
        asked = null;
        await inTurn(() => once(lieStill));
      }
      return 'seen through';
    } catch (error) {
      if (error instanceof LedgerUnavailable) {
        note('the ledger can’t be written, and nothing governs that is not recorded');
        return 'try again';
      }
      log.error({ err: error }, 'a reload could not be seen through');
      return 'seen through';
    }
  }

  function inTurn(work: () => Promise<void>): Promise<void> {
    const mine = turn.then(work);
    turn = mine.catch(() => undefined /* whoever asked is told */);
    return mine;
  }

  async function followOnce(digest: Digest): Promise<void> {
    const next = await loadGovernance(countersign.governance.config.file).catch(() => undefined /* half-way written */);
    if (next !== undefined && governingDigest(next.config, next.policies.digest) === digest) await take(next);
  }

  async function once(lieStill: LieStill): Promise<void> {
    const { governance: before } = countersign;
    const seeThrough = await loadGovernance(before.config.file).then(
      (next) => () => take(next),
      (error: unknown) => () => refuse(before, error),
    );
    if (await lieStill()) await seeThrough();
  }

  async function take(next: Governance): Promise<void> {
    const { governance: before } = countersign;
    let ending: Promise<void> | undefined;
    try {
      const fixed = needsRestart(before.config, next.config);
      if (fixed.length > 0) throw new NeedsRestart(fixed);
      if (!differs(before, next) && failed === null) return;
      // G7: what governs is in the ledger before it governs.
      await proof.record({
        kind: 'reload',
        subject: 'configuration',
        body: { outcome: 'loaded', node: proof.node, before: digestsOf(before), now: digestsOf(next) },
      });
      countersign.bringIntoForce(next);
      // At once: where a target is gone the next statement would find no rules, and not be told why.
      ending = deps.endSessions();
      await countersign.agree();
      failed = null;
      log.info({ ...digestsOf(next) }, 'the configuration and the policies were loaded anew and are in force');
    } catch (error) {
      if (error instanceof LedgerUnavailable) throw error;
      await refuse(before, error);
      return;
    } finally {
      await ending;
    }
    await countersign.closeGoneTargets();
  }

  async function refuse(before: Governance, error: unknown): Promise<void> {
    const why = reasonOf(error);
    note(why);
    await proof.record({
      kind: 'reload',
      subject: 'configuration',
      body: { outcome: 'refused', node: proof.node, inForce: digestsOf(before), why },
    });
  }

  /** Said once, however often the same is found. */
  function note(why: string): void {
    if (failed?.why === why) return;
    failed = { failed: true, why, since: instantOf(clock.now()) };
    log.error(
      { why, inForce: digestsOf(countersign.governance) },
      'the configuration was not loaded anew: what was in force stays',
    );
  }

  return {
    now(lieStill = async () => true) {
      asked = lieStill;
      running ??= loop().finally(() => {
        running = null;
      });
      return running;
    },
    follow: (digest) => inTurn(() => followOnce(digest)),
    status: () => failed,
  };
}

class NeedsRestart extends Error {
  constructor(keys: readonly string[]) {
    super(`${keys.join(', ')}: this can't change while the gateway runs; restart it, or put the old value back`);
    this.name = 'NeedsRestart';
  }
}

function digestsOf({ config, policies }: Governance) {
  return { configDigest: config.digest, policyDigest: policies.digest };
}

function differs(before: Governance, next: Governance): boolean {
  return before.config.digest !== next.config.digest || before.policies.digest !== next.policies.digest;
}

/** By file, line and key where a file is wrong. */
function reasonOf(error: unknown): string {
  if (error instanceof ConfigError || error instanceof PolicyError || error instanceof NeedsRestart) {
    return error.message;
  }
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
}

/** What is opened once and then held: its keys, where they differ. */
function needsRestart(before: Config, next: Config): string[] {
  const fixed: Partial<Record<string, (config: Config) => unknown>> = {
    state: ({ state }) => state,
    listen: ({ listen, proxies, reachedAt }) => [listen, proxies, reachedAt],
    tls: ({ tls }) => tls,
    'keys.ledger': ({ ledgerKey }) => ledgerKey,
    origin: ({ origin }) => origin,
  };
  const keys = Object.entries(fixed).flatMap(([key, of]) => (same(of?.(before), of?.(next)) ? [] : [key]));
  const targets = [...before.targets].flatMap(([id, was]) => {
    const is = next.targets.get(id);
    return is === undefined || same(connectionOf(was), connectionOf(is)) ? [] : [`targets.${id}`];
  });
  return [...keys, ...targets];
}

/** To whom the gateway is connected, and as whom. Another database is another target: it has another name. */
function connectionOf({ target, session, apply }: ConfiguredTarget): unknown {
  const { endpoint, identity } = target;
  return [endpoint, identity, session.user, session.password.reference, apply.user, apply.password.reference];
}

function same(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

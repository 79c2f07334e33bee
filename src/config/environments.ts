import type { ChangeWindow } from '../domain/change-time.ts';
import type { Environment, Tier } from '../domain/environment.ts';
import { type ActorId, asId, type EnvironmentId } from '../domain/ids.ts';
import type { ConfigDocument } from './schema.ts';

/** Safe by tier: what needs no approval, and how many must countersign what can't be measured. */
const DEFAULTS: Readonly<
  Record<Tier, Pick<Environment, 'rowsWithoutApproval' | 'quorum' | 'quorumUnmeasured' | 'clicks'>>
> = {
  development: { rowsWithoutApproval: 100_000, quorum: 1, quorumUnmeasured: 1, clicks: 'reversible' },
  staging: { rowsWithoutApproval: 10_000, quorum: 1, quorumUnmeasured: 1, clicks: 'reversible' },
  production: { rowsWithoutApproval: 100, quorum: 1, quorumUnmeasured: 2, clicks: 'never' },
};
const PLAN_LIFETIME_MS = 24 * 3_600_000;

export function environmentOf(
  id: string,
  entry: ConfigDocument['environments'][string],
  windows: readonly ChangeWindow[],
): Environment {
  const defaults = DEFAULTS[entry.tier];
  return {
    id: asId<EnvironmentId>(id),
    tier: entry.tier,
    owner: asId<ActorId>(entry.owner),
    rowsWithoutApproval: entry.rowsWithoutApproval ?? defaults.rowsWithoutApproval,
    quorum: entry.quorum ?? defaults.quorum,
    quorumUnmeasured: entry.quorumUnmeasured ?? Math.max(defaults.quorumUnmeasured, entry.quorum ?? 1),
    planLifetimeMs: entry.planLifetime ?? PLAN_LIFETIME_MS,
    clicks: entry.clicks ?? defaults.clicks,
    approvalAgents: entry.approvalAgents ?? null,
    windows,
  };
}

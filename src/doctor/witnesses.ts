import { type Finding, findingsOf } from './finding.ts';

/** How far the witnesses of a configuration have come. */
export interface Witnessing {
  readonly quorum: number;
  /** By name, with the newest size that each has cosigned; 0 for none. */
  readonly witnesses: readonly { readonly name: string; readonly url: string; readonly size: number }[];
  readonly entries: number;
  /** For how long the oldest entry waits that too few have cosigned; `null` when none waits. */
  readonly waitsMs: number | null;
}

/** Longer than any gateway that runs takes to ask. */
const PATIENCE_MS = 120_000;

/** @param witnessing `null` where the configuration names no witness: then there is nothing to be found. */
export function checkWitnesses(witnessing: Witnessing | null): Finding[] {
  if (witnessing === null) return [];
  const { ok, bad } = findingsOf('ledger');
  const { quorum, witnesses, entries, waitsMs } = witnessing;
  if (waitsMs === null || waitsMs <= PATIENCE_MS) return [ok('ledger.witnessed', 'its newest entries are witnessed')];
  const behind = witnesses.filter(({ size }) => size < entries);
  return [
    bad('warn', 'ledger.witnessed', {
      found: `entries wait for ${Math.round(waitsMs / 60_000)} minutes for ${quorum} of ${witnesses.length} witnesses: ${behind.map(({ name, size }) => `${name} has cosigned ${size} of ${entries}`).join(', ')}`,
      why: 'Of these entries nobody outside could tell a second, different ledger.',
      fix: `see that a gateway runs, and reach each: ${behind.map(({ url }) => `curl -i ${url}/add-checkpoint`).join('; ')}  # 404 is well; then look at the gateway’s log`,
    }),
  ];
}

import type { PostgresState } from '../domain/state-location.ts';
import { type AgentApproval, createAgentApprovals } from './agent-approvals.ts';
import { isOfAKey, type LedgerCopy, openFileCopy, UnreadableLine } from './archive.ts';
import { wrongAttestation } from './attested-approvals.ts';
import { type BrokenGlass, createBrokenGlassClaims } from './broken-glass.ts';
import { createDelegatedApprovals, type DelegatedApproval } from './delegated-approvals.ts';
import { type KeySuccession, successionOf } from './key-succession.ts';
import { createPasskeyApprovals } from './passkey-approvals.ts';
import { openPostgresCopy } from './postgres-copy.ts';
import { EMPTY_FRONTIER, type Frontier, grow, leafHash, rootOf } from './tree.ts';

/** What verification found: everything as it was signed, or the first thing that isn't. */
export type Verdict =
  | {
      readonly verdict: 'sound';
      readonly entries: number;
      readonly checkpoints: number;
      readonly root: string;
      readonly verifierKey: string;
      /** Whether the key was given from outside; a key that the copy names itself only shows that it fits itself. */
      readonly keyFrom: 'outside' | 'the copy itself';
      /** What somebody acted on alone; left out where nobody did. */
      readonly brokenGlass?: readonly BrokenGlass[];
      /** What somebody countersigned in another's place; left out where nobody did. */
      readonly delegated?: readonly DelegatedApproval[];
      /** What approval agents countersigned; left out where none did. */
      readonly byAgents?: readonly AgentApproval[];
    }
  | { readonly verdict: 'tampered'; readonly entry: number | null; readonly problem: string }
  | { readonly verdict: 'unreadable'; readonly problem: string };

/**
 * Verifies a state database or an exported archive, offline, or a state store on PostgreSQL.
 *
 * @param trustedKey the verifier key to trust, where one is known.
 */
export async function verifyLedger(place: string | PostgresState, trustedKey?: string): Promise<Verdict> {
  let copy: LedgerCopy;
  try {
    copy = await (typeof place === 'string' ? openFileCopy(place) : openPostgresCopy(place));
  } catch (error) {
    return { verdict: 'unreadable', problem: reason(error) };
  }
  try {
    return await verifyCopy(copy, trustedKey);
  } catch (error) {
    if (error instanceof UnreadableLine) {
      return { verdict: 'tampered', entry: error.index ?? null, problem: named(error.index, error.message) };
    }
    return { verdict: 'unreadable', problem: reason(error) };
  } finally {
    await copy.close();
  }
}

async function verifyCopy(copy: LedgerCopy, trustedKey: string | undefined): Promise<Verdict> {
  const keyText = trustedKey ?? copy.verifierKey;
  if (keyText === null) return tampered(0, 'entry 0 does not name the key of this ledger');
  let succession: KeySuccession;
  try {
    succession = successionOf(copy.rotations, copy.verifierKey ?? keyText);
  } catch (error) {
    return tampered(copy.rotations.at(-1)?.index ?? null, reason(error));
  }
  if (!succession.keys.some(({ verifierKey }) => verifierKey === keyText.trim())) {
    return tampered(null, `the copy names ${copy.verifierKey} as its key, which is not the one to be trusted`);
  }
  const roots = new Map<number, Buffer>();
  let newest = 0;
  for (const { size, note } of copy.checkpoints) {
    try {
      const checkpoint = succession.open(note);
      if (checkpoint.size !== size)
        return tampered(null, `the checkpoint of size ${size} is one of size ${checkpoint.size}`);
      roots.set(size, checkpoint.root);
      newest = Math.max(newest, size);
    } catch (error) {
      return tampered(null, `the checkpoint of size ${size} can’t be trusted: ${reason(error)}`);
    }
  }

  let frontier: Frontier = EMPTY_FRONTIER;
  let vouched = 0;
  const approvals = createPasskeyApprovals();
  const glass = createBrokenGlassClaims();
  const delegated = createDelegatedApprovals();
  const byAgents = createAgentApprovals();
  for await (const { index, entry, leaf, problem } of copy.entries()) {
    if (index !== frontier.size) return tampered(frontier.size, `entry ${frontier.size} was removed`);
    const computed = leafHash(Buffer.from(entry, 'utf8'));
    if (!computed.equals(leaf)) return tampered(index, `entry ${index} was changed: it is not what was recorded`);
    // The columns by which keys are found are covered by no hash.
    if (copy.rotations.some((one) => one.index === index) !== isOfAKey(entry)) {
      return tampered(index, `entry ${index} was changed: it is not one of a key`);
    }
    if (problem !== undefined) return tampered(index, `entry ${index} was changed: ${problem}`);
    const wrongly =
      approvals.take(entry) ??
      wrongAttestation(entry, index, succession) ??
      glass.take(entry) ??
      delegated.take(entry) ??
      byAgents.take(entry);
    if (wrongly !== undefined) return tampered(index, `entry ${index} counts for nothing: ${wrongly}`);
    const grown = grow(frontier, [computed]);
    frontier = grown.frontier;
    const wrong =
      copy.nodeAt && grown.nodes.find((node) => copy.nodeAt?.(node.level, node.index)?.equals(node.hash) !== true);
    if (wrong !== undefined) {
      return tampered(
        index,
        `the tree was changed at entry ${index}: node ${wrong.index} of level ${wrong.level} is not what was recorded`,
      );
    }
    const signed = roots.get(frontier.size);
    if (signed === undefined) continue;
    if (!signed.equals(rootOf(frontier))) {
      const which = vouched === index ? `entry ${index} was` : `one of the entries ${vouched} to ${index} was`;
      return tampered(
        vouched,
        `${which} changed, removed or moved together with its hash: the root is not the one signed`,
      );
    }
    vouched = frontier.size;
  }
  if (frontier.size < newest) {
    return tampered(
      frontier.size,
      `the ledger was cut off: it ends at ${frontier.size} entries, a signed checkpoint covers ${newest}`,
    );
  }
  if (copy.size !== null && copy.size !== frontier.size) {
    return tampered(frontier.size, `the copy says that it has ${copy.size} entries, and has ${frontier.size}`);
  }
  if (vouched < frontier.size) {
    return tampered(vouched, `no signed checkpoint covers the entries from ${vouched} on`);
  }
  const brokenGlass = glass.found();
  return {
    verdict: 'sound',
    entries: frontier.size,
    checkpoints: roots.size,
    root: rootOf(frontier).toString('base64'),
    verifierKey: succession.keys.at(-1)?.verifierKey ?? keyText,
    keyFrom: trustedKey === undefined ? 'the copy itself' : 'outside',
    ...(brokenGlass.length === 0 ? {} : { brokenGlass }),
    ...(delegated.found().length === 0 ? {} : { delegated: delegated.found() }),
    ...(byAgents.found().length === 0 ? {} : { byAgents: byAgents.found() }),
  };
}

function tampered(entry: number | null, problem: string): Verdict {
  return { verdict: 'tampered', entry, problem };
}

function named(index: number | undefined, what: string): string {
  return index === undefined ? what : `entry ${index} was changed: ${what}`;
}

function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

import { type Checkpoint, openCheckpoint, readCheckpoint } from '../ledger/checkpoint.ts';
import { cosign } from '../ledger/cosignature.ts';
import type { SigningKey } from '../ledger/signing-key.ts';
import { verifyConsistency } from '../ledger/tree-proof.ts';
import type { KeptCheckpoints } from './kept-checkpoints.ts';

/** An answer as C2SP tlog-witness numbers it. */
export interface WitnessAnswer {
  readonly status: 200 | 400 | 403 | 404 | 409 | 422;
  readonly type: 'text/plain; charset=utf-8' | 'text/x.tlog.size';
  readonly body: string;
}

export interface Witness {
  readonly key: SigningKey;
  /** The keys of the logs it looks after, by origin: several where one gives way to another. */
  readonly logs: ReadonlyMap<string, readonly { readonly name: string; readonly publicKey: Uint8Array }[]>;
  readonly kept: KeptCheckpoints;
  readonly nowMs: () => number;
}

const MAX_PROOF_LINES = 63;
const REQUEST = /^old (0|[1-9][0-9]{0,15})\n((?:[A-Za-z0-9+/]{43}=\n)*)\n([\s\S]+)$/;

/**
 * Cosigns a checkpoint, when the log's own key signed it and it is shown that it grew out of the one that was cosigned
 * before (C2SP tlog-witness, add-checkpoint). A log that was set back, or that forked, gets no cosignature.
 */
export function addCheckpoint(request: string, witness: Witness): WitnessAnswer {
  const match = REQUEST.exec(request);
  const proof = (match?.[2] ?? '')
    .trimEnd()
    .split('\n')
    .filter((line) => line !== '');
  if (match === null || proof.length > MAX_PROOF_LINES) return refused(400, 'this is no request to add a checkpoint');
  const [, oldText = '', , note = ''] = match;
  const origin = note.slice(0, note.indexOf('\n'));
  const keys = witness.logs.get(origin);
  if (keys === undefined) return refused(404, 'this log is not looked after here');
  let checkpoint: Checkpoint;
  try {
    checkpoint = openedByOneOf(note, keys);
  } catch (error) {
    return refused(403, error instanceof Error ? error.message : String(error));
  }
  const old = Number(oldText);
  if (old > checkpoint.size) return refused(400, 'the old size is beyond the checkpoint');

  return witness.kept.update<WitnessAnswer>(origin, (keptNote) => {
    // By the key that it was taken with, which may count no longer.
    const kept = keptNote === undefined ? undefined : readCheckpoint(keptNote);
    if (old !== (kept?.size ?? 0)) {
      return { keep: null, result: { status: 409, type: 'text/x.tlog.size', body: `${kept?.size ?? 0}\n` } };
    }
    if (kept !== undefined && kept.size === checkpoint.size && !kept.root.equals(checkpoint.root)) {
      return { keep: null, result: refused(409, 'another root was cosigned for this size: the log has forked') };
    }
    const path = proof.map((line) => Buffer.from(line, 'base64'));
    const grown = kept === undefined ? path.length === 0 : verifyConsistency(kept, checkpoint, path);
    if (!grown) return { keep: null, result: refused(422, 'it is not shown that the log only grew') };
    const line = cosign(note, witness.key, Math.floor(witness.nowMs() / 1000));
    return { keep: note, result: { status: 200, type: 'text/plain; charset=utf-8', body: line } };
  });
}

/** @throws Error when none of the keys signed it. */
function openedByOneOf(note: string, keys: readonly Parameters<typeof openCheckpoint>[1][]): Checkpoint {
  const failures: unknown[] = [];
  for (const key of keys) {
    try {
      return openCheckpoint(note, key);
    } catch (error) {
      failures.push(error);
    }
  }
  throw failures[0];
}

function refused(status: WitnessAnswer['status'], why: string): WitnessAnswer {
  return { status, type: 'text/plain; charset=utf-8', body: `${why}\n` };
}

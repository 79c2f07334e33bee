import type { Store } from '../store/store.ts';
import { checkpointSize } from './checkpoint.ts';
import { keepCosignatures, newestCheckpointWith } from './checkpoint-notes.ts';
import { cosignatureOf, type WitnessKey, witnessesOf } from './cosignature.ts';
import type { Ledger } from './ledger.ts';

/** A witness as a gateway knows it. */
export interface KnownWitness extends WitnessKey {
  /** The prefix before `/add-checkpoint`. */
  readonly url: string;
}

/** What came of asking a witness. */
export type Testimony =
  | { readonly witness: string; readonly cosigned: true }
  /** `grave`: it knows another past of this ledger than the one there is. */
  | { readonly witness: string; readonly cosigned: false; readonly why: string; readonly grave: boolean };

/** Shows witnesses the newest checkpoint, and keeps what they sign. */
export interface Witnessing {
  /** @throws StoreUnavailable when the ledger can't be read. What goes wrong with a witness is in what it returns. */
  ask(): Promise<readonly Testimony[]>;
  /** How many entries there are, and of how many enough witnesses have signed the root; and which witnesses these are. */
  witnessed(): Promise<{ readonly entries: number; readonly witnessed: number; readonly by: readonly string[] }>;
}

const PATIENCE_MS = 5000;
const MAX_ANSWER_BYTES = 64 * 1024;

/** @param quorum how many must cosign a checkpoint for its entries to count as witnessed. */
export function createWitnessing(deps: {
  readonly store: Store;
  readonly ledger: Ledger;
  readonly witnesses: readonly KnownWitness[];
  readonly quorum: number;
}): Witnessing {
  const { store, ledger, witnesses } = deps;
  /** Of each witness the size that it cosigned last, as far as it was told; it says itself when that is another. */
  const sizes = new Map<string, number>();

  async function askOne(
    witness: KnownWitness,
    note: string,
  ): Promise<Testimony & { readonly line?: string | undefined }> {
    const { name } = witness;
    const no = (why: string, grave = false) => ({ witness: name, cosigned: false, why, grave }) as const;
    try {
      const size = checkpointSize(note);
      let answer = await send(witness, note, size);
      const theirs = /^(0|[1-9][0-9]{0,15})\n$/.exec(answer.text)?.[1];
      if (answer.status === 409 && theirs !== undefined) {
        if (Number(theirs) > size) return no(`it has seen ${theirs} entries, and there are ${size}`, true);
        sizes.set(name, Number(theirs));
        answer = await send(witness, note, size);
      }
      if (answer.status !== 200) {
        return no(
          `it answered ${answer.status}: ${answer.text.trim().slice(0, 200)}`,
          [409, 422].includes(answer.status),
        );
      }
      const line = cosignatureOf(note, answer.text, witness);
      if (line === undefined) return no('what it answered is not its cosignature');
      sizes.set(name, size);
      return { witness: name, cosigned: true, line };
    } catch (error) {
      return no(error instanceof Error ? `${error.message}${causeOf(error)}` : String(error));
    }
  }

  async function send(witness: KnownWitness, note: string, size: number) {
    const old = Math.min(sizes.get(witness.name) ?? 0, size);
    const proof = await ledger.consistencyProof(old, size);
    const lines = proof.map((hash) => `${hash.toString('base64')}\n`).join('');
    const response = await fetch(`${witness.url.replace(/\/+$/, '')}/add-checkpoint`, {
      method: 'POST',
      body: `old ${old}\n${lines}\n${note}`,
      redirect: 'error',
      signal: AbortSignal.timeout(PATIENCE_MS),
    });
    return { status: response.status, text: (await response.text()).slice(0, MAX_ANSWER_BYTES) };
  }

  return {
    async ask() {
      const note = await ledger.checkpoint();
      // Also those who have signed it: a ledger that was set back shows only to who has seen more of it.
      const asked = await Promise.all(witnesses.map((witness) => askOne(witness, note)));
      const signed = new Set(witnessesOf(note, witnesses).map(({ name }) => name));
      const lines = asked.flatMap(({ witness, line }) => (line === undefined || signed.has(witness) ? [] : [line]));
      if (lines.length > 0) await keepCosignatures(store, checkpointSize(note), note, lines);
      return asked;
    },
    async witnessed() {
      const entries = checkpointSize(await ledger.checkpoint());
      const note = await newestCheckpointWith(store, (each) => witnessesOf(each, witnesses).length >= deps.quorum);
      if (note === undefined) return { entries, witnessed: 0, by: [] };
      return { entries, witnessed: checkpointSize(note), by: witnessesOf(note, witnesses).map(({ name }) => name) };
    },
  };
}

function causeOf({ cause }: Error): string {
  return cause instanceof Error ? ` (${cause.message})` : '';
}

import { shortId } from '../../domain/plan.ts';
import { proveAction, subjectNamed, TooManyEntries } from '../../ledger/action-proof.ts';
import { exportLedger } from '../../ledger/archive.ts';
import { checkpointSize, readCheckpoint } from '../../ledger/checkpoint.ts';
import type { Ledger } from '../../ledger/ledger.ts';
import type { SigningKey } from '../../ledger/signing-key.ts';
import type { Verdict } from '../../ledger/verify.ts';
import type { Testimony, Witnessing } from '../../ledger/witnessing.ts';
import type { Store } from '../../store/store.ts';
import type { Refused } from '../gateway.ts';

/** What people take away to judge elsewhere, and how far the ledger was found to be what was signed. */
export interface Evidence {
  standing(): Promise<LedgerStanding>;
  /** Reads all of the ledger anew, beside the gateway; one at a time. */
  verify(): void;
  /** All about one action in one file (docs/proof-format.md). @param named a plan, a write or a task, or how its id begins. */
  proof(named: string): Promise<{ readonly name: string; readonly text: string } | Refused>;
  /** The whole ledger as lines, read while it is written. */
  archive(): Promise<{ readonly name: string; readonly lines: AsyncIterable<string> }>;
}

export interface LedgerStanding {
  readonly origin: string;
  readonly verifierKey: string;
  /** The newest that the ledger's key has signed. */
  readonly checkpoint: { readonly note: string; readonly size: number; readonly root: string };
  readonly verification: Verification;
  /** `null` where the configuration names none. */
  readonly witnesses: WitnessStanding | null;
}

/** What came of reading all of it. A gateway says only what it has found itself since it runs. */
export interface Verification {
  readonly since: string;
  /** When the reading began that is under way. */
  readonly running: string | null;
  readonly last: {
    /** When it began: what came later it may not have seen. */
    readonly at: string;
    readonly tookMs: number;
    readonly verdict: Verdict;
  } | null;
}

export interface WitnessStanding {
  readonly quorum: number;
  /** Of how many entries enough witnesses have signed the root, and which they are. */
  readonly witnessed: number;
  readonly by: readonly string[];
  /** What each answered when it was asked last; nothing before the first time. */
  readonly asked: readonly Testimony[];
}

/** Runs the verification of a ledger, and knows what came of it. */
export interface LedgerVerifier {
  known(): Verification;
  begin(): void;
}

/** Looking for the newest checkpoint that was cosigned may take long where none was. */
const WITNESSED_FOR_MS = 5000;

export function createEvidence(deps: {
  readonly store: Store;
  readonly ledger: Ledger;
  readonly key: SigningKey;
  readonly verifier: LedgerVerifier;
  readonly witnesses: {
    readonly quorum: number;
    readonly testimonies: () => readonly Testimony[];
    readonly witnessed: Witnessing['witnessed'];
  } | null;
  readonly now: () => number;
}): Evidence {
  const { store, ledger, verifier, witnesses } = deps;
  let seen: { readonly atMs: number; readonly witnessed: ReturnType<Witnessing['witnessed']> } | undefined;

  async function witnessStanding(): Promise<WitnessStanding | null> {
    if (witnesses === null) return null;
    if (seen === undefined || deps.now() - seen.atMs > WITNESSED_FOR_MS) {
      seen = { atMs: deps.now(), witnessed: witnesses.witnessed() };
    }
    const { witnessed, by } = await seen.witnessed;
    return { quorum: witnesses.quorum, witnessed, by, asked: witnesses.testimonies() };
  }

  return {
    async standing() {
      const note = await ledger.checkpoint();
      const { size, root } = readCheckpoint(note);
      return {
        origin: ledger.origin,
        verifierKey: ledger.verifierKey,
        checkpoint: { note, size, root: root.toString('base64') },
        verification: verifier.known(),
        witnesses: await witnessStanding(),
      };
    },
    verify: () => verifier.begin(),
    async proof(named) {
      const subject = await subjectNamed(store, named);
      if (subject === 'none') return no(`The ledger has nothing about ${named}.`, 'Activity lists what it has.');
      if (subject === 'several') return no(`More than one id begins with ${named}.`, 'Give more digits of it.');
      try {
        const text = await proveAction({ store, ledger, key: deps.key }, subject);
        return { name: `${shortId(subject)}.proof.jsonl`, text };
      } catch (error) {
        if (!(error instanceof TooManyEntries)) throw error;
        return {
          refused: {
            refused: 'overLimit',
            message: `${error.message}: more than one file is meant for.`,
            hint: 'Take the whole ledger; it proves the same.',
          },
        };
      }
    },
    async archive() {
      const size = checkpointSize(await ledger.checkpoint());
      const origin = ledger.origin.replaceAll(/[^\w.-]+/g, '-');
      return { name: `${origin}-${size}.ledger.jsonl`, lines: exportLedger(store, ledger) };
    },
  };
}

function no(message: string, hint: string): Refused {
  return { refused: { refused: 'denied', message, hint } };
}

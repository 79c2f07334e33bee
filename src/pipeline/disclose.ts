import { digestOf, type Json } from '../domain/digest.ts';
import { type ActorId, asId } from '../domain/ids.ts';
import type { Statement } from '../domain/intent.ts';
import { PLAN_TRANSITIONS } from '../domain/plan.ts';
import { RefusalError } from '../domain/refusal.ts';
import type { Ledger } from '../ledger/ledger.ts';
import { eraseOpenings, openingsOf } from '../store/openings.ts';
import { eraseValues, getPlan } from '../store/plans.ts';
import type { Store } from '../store/store.ts';
import type { Proof } from './proof.ts';

/** What opens one commitment of the ledger: whoever has it can compute that the entry holds exactly this. */
export interface Disclosure {
  readonly entry: number;
  /** Where in the entry the commitment stands (RFC 6901). */
  readonly path: string;
  readonly commitment: string;
  /** `null`: erased. */
  readonly salt: string | null;
  /** Where it is kept, which is so of plans until it is erased. */
  readonly statement: Statement | null;
}

const MOST = 10_000;

/** Opens the commitments of the entries about a subject. */
export async function disclose(
  { store, ledger }: { readonly store: Store; readonly ledger: Ledger },
  subject: string,
): Promise<readonly Disclosure[]> {
  const salts = new Map((await openingsOf(store, subject)).map(({ commitment, salt }) => [commitment, salt]));
  const kept = (await getPlan(store, subject))?.plan.statements ?? [];
  const entries = await ledger.entries({ subject, from: 0, limit: MOST });
  return entries
    .filter(({ entry }) => entry.subject === subject)
    .flatMap(({ index, entry }) => {
      const told = (entry.body as { statements?: readonly { commitment?: string; salt?: string }[] }).statements ?? [];
      return told.flatMap(({ commitment, salt: inside }, at) => {
        if (commitment === undefined) return [];
        // Entries of earlier versions hold it themselves.
        const salt = salts.get(commitment) ?? inside ?? null;
        const statement = kept.find((one) => salt !== null && commitmentOf(salt, one) === commitment) ?? null;
        return [{ entry: index, path: `/body/statements/${at}`, commitment, salt, statement }];
      });
    });
}

function commitmentOf(salt: string, { text, parameters }: Statement): string {
  return digestOf({ salt, text, parameters: parameters.map((each) => ({ ...each })) });
}

/**
 * Removes for good what opens the commitments of a subject, and of a plan its statements, examples of rows and nonce. The
 * entries stay as they are, and so does every proof of them. That it was done is an entry.
 *
 * @throws RefusalError for a plan that may still be applied.
 */
export async function erase(
  { store, proof }: { readonly store: Store; readonly proof: Proof },
  subject: string,
  { by, reason }: { readonly by: string; readonly reason: string },
): Promise<{ readonly salts: number; readonly plan: boolean }> {
  const record = await getPlan(store, subject);
  if (record !== undefined && PLAN_TRANSITIONS[record.state].length > 0) {
    throw new RefusalError({
      refused: 'denied',
      message: `The plan is ${record.state}: what it says may still be needed.`,
      hint: 'Reject it first, or wait until it has come to its end.',
      plan: record.id,
    });
  }
  const salts = (await openingsOf(store, subject)).length;
  await proof.record({
    kind: 'erased',
    subject,
    body: { subject, by: asId<ActorId>(by), reason, salts, plan: record !== undefined } satisfies Json,
    writes: [eraseOpenings(subject), ...(record === undefined ? [] : [eraseValues(record)])],
  });
  return { salts, plan: record !== undefined };
}

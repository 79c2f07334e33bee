import type { TargetQuestion } from '../approval/about-target.ts';
import { verifyVoucher } from '../approval/voucher.ts';
import type { Json } from '../domain/digest.ts';
import type { TargetId } from '../domain/ids.ts';
import type { VoucherEnvelope, VoucherStatement } from '../domain/voucher.ts';
import { GuardFailed } from '../ledger/ledger.ts';
import type { Store } from '../store/store.ts';
import { putVoucher, removeVoucher, vouchersOf } from '../store/vouchers.ts';
import type { Refused } from './gateway.ts';
import type { Proof } from './proof.ts';

/** For which functions of which target people vouch. A voucher makes code count as harmless; it lets nothing write. */
export interface Vouchers {
  /** What counts on a target now. Looks at memory only; equal arrays mean that nothing has changed. */
  on(target: TargetId): readonly VoucherStatement[];
  /** Takes a signed voucher, or its revocation. The signature is the authentication. */
  receive(envelope: VoucherEnvelope): Promise<{ readonly ok: true } | Refused>;
  /** Reads them again: another process may have taken one, or the configuration names other people. */
  refresh(): Promise<void>;
}

/** @param questions the targets that are configured now. */
export async function createVouchers(deps: {
  readonly store: Store;
  readonly proof: Proof;
  readonly questions: () => readonly TargetQuestion[];
}): Promise<Vouchers> {
  const { store, proof } = deps;
  let known = new Map<TargetId, readonly VoucherStatement[]>();

  async function refresh(): Promise<void> {
    const next = new Map<TargetId, readonly VoucherStatement[]>();
    for (const question of deps.questions()) {
      const read = await vouchersOf(store, question.target);
      const found = read.flatMap((envelope) => {
        // The state is no authority: only what a person's key has signed counts.
        const verified = verifyVoucher(envelope, question);
        return verified.valid && verified.statement.verdict === 'trust' ? [verified.statement] : [];
      });
      const before = known.get(question.target);
      next.set(question.target, JSON.stringify(before) === JSON.stringify(found) ? (before ?? found) : found);
    }
    known = next;
  }

  await refresh();
  return {
    on: (target) => known.get(target) ?? NONE,
    refresh,
    async receive(envelope) {
      const verdicts = deps.questions().map((question) => verifyVoucher(envelope, question));
      const verdict = verdicts.find(({ valid }) => valid);
      if (verdict === undefined || !verdict.valid) {
        const [why] = verdicts.flatMap((one) =>
          one.valid || one.why === 'it is about another target' ? [] : [one.why],
        );
        return no(`This does not count: ${why ?? 'it is about no target of the configuration'}.`);
      }
      const { statement } = verdict;
      try {
        await proof.record({
          kind: 'voucher',
          subject: `${statement.target} ${statement.signature}`,
          body: { ...statement, envelope: envelope as unknown as Json },
          writes: [statement.verdict === 'trust' ? putVoucher(statement, envelope) : removeVoucher(statement)],
        });
      } catch (error) {
        if (!(error instanceof GuardFailed)) throw error;
        return no(`Nobody vouches for ${statement.signature} on ${statement.target}.`);
      }
      await refresh();
      return { ok: true };
    },
  };
}

const NONE: readonly VoucherStatement[] = [];

function no(message: string): Refused {
  return { refused: { refused: 'denied', message, hint: '`countersign policy trust list` shows what counts.' } };
}

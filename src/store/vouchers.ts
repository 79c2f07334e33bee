import { canonicalJson, type Json } from '../domain/digest.ts';
import type { TargetId } from '../domain/ids.ts';
import type { VoucherEnvelope, VoucherStatement } from '../domain/voucher.ts';
import { statements } from './schema.ts';
import type { Store } from './store.ts';
import { type Write, write } from './write.ts';

/** Keeps what was vouched for last; the ledger has what was before. */
export function putVoucher({ target, signature, at }: VoucherStatement, envelope: VoucherEnvelope): Write {
  const kept = { envelope: canonicalJson(envelope as unknown as Json), at };
  return write(
    statements
      .insertInto('vouchers')
      .values({ target, signature, ...kept })
      .onConflict((conflict) => conflict.columns(['target', 'signature']).doUpdateSet(kept)),
    1,
  );
}

export function removeVoucher({ target, signature }: VoucherStatement): Write {
  return write(statements.deleteFrom('vouchers').where('target', '=', target).where('signature', '=', signature), 1);
}

/** The vouchers that were given and not taken back. Whoever uses them verifies them again. */
export async function vouchersOf(store: Store, target: TargetId): Promise<readonly VoucherEnvelope[]> {
  const rows = await store.all(
    statements.selectFrom('vouchers').select('envelope').where('target', '=', target).orderBy('signature'),
  );
  return rows.map((row) => JSON.parse(row.envelope) as VoucherEnvelope);
}

import { settingsMade, type Transaction, type WrittenStatement } from '../execution/transaction.ts';
import { commitment } from './commitment.ts';

/** What one transaction may keep of texts and values, so that it can become a plan. */
const MAX_KEPT_BYTES = 64 * 1024 * 1024;

/**
 * Notes a write of the open transaction. Beyond what may be kept, only what the ledger is told stays of it: then the
 * transaction can't become a plan any more.
 */
export function keepWrite(transaction: Transaction, write: WrittenStatement): void {
  transaction.madeBeforeWrites ??= settingsMade(transaction);
  const bytes = sizeOf(write);
  if (transaction.keptBytes + bytes <= MAX_KEPT_BYTES) {
    transaction.keptBytes += bytes;
    transaction.writes.push(write);
    return;
  }
  const sealed = write.sealed ?? commitment(write.statement);
  transaction.writes.push({ statement: { text: '', parameters: [] }, analysis: write.analysis, sealed });
}

function sizeOf({ statement: { text, parameters } }: WrittenStatement): number {
  return parameters.reduce((sum, { value }) => sum + (value?.length ?? 0), text.length);
}

import pc from 'picocolors';
import { dueAt } from '../backups/due.ts';
import type { BackupFigures } from '../domain/backup.ts';
import type { KnownBackup } from '../ledger/known-backups.ts';

/** What takes long says where it is, beside the answer. */
export function tell(said: string): void {
  process.stderr.write(`${pc.dim(`… ${said}`)}\n`);
}

export function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}

export function megabytes(bytes: number): string {
  return `${(bytes / 1_000_000).toFixed(bytes < 10_000_000 ? 2 : 0)} MB`;
}

export function outOfReach(destroyable: readonly string[]): string {
  return destroyable.length === 0
    ? 'out of reach: this account could neither change nor delete what it had stored (tried)'
    : `${pc.yellow('NOT immutable')}: ${destroyable.join(' and ')} worked with this account (tried)`;
}

export function proven({ drill }: KnownBackup): string {
  if (drill === null) return pc.yellow('no drill yet: it does not count');
  return drill.passed
    ? pc.green(`drill passed ${drill.at}`)
    : pc.red(`drill FAILED ${drill.at}: ${drill.problems[0] ?? ''}`);
}

/** What a gateway does by itself for a target, when next, and why not. */
export function scheduleLines({ target, works }: BackupFigures, nowMs: number): readonly string[] {
  return works.map(({ name, recurring, lastMs, failures, why, triedMs }) => {
    const dueMs = dueAt(recurring, { lastMs, sinceMs: nowMs, tries: { failures, triedMs } });
    const next = dueMs <= nowMs ? 'now' : new Date(dueMs).toISOString();
    const failed = failures === 0 ? '' : `  ${pc.red(`failed ${failures} times: ${why}`)}`;
    return `${pc.dim('next')}  ${name} of ${target}: ${next}${failed}`;
  });
}

import { type Finding, findingsOf } from './finding.ts';

/** What the gateway's machine and its state are like. */
export interface Machine {
  readonly nodeVersion: string;
  readonly nowMs: number;
  /** On the disk that the gateway writes to. */
  readonly freeBytes: number;
  readonly state: {
    /** Its path, or what stands for it. */
    readonly name: string;
    /** The clock of the store less ours. */
    readonly clockAheadMs: number;
    /** When the newest entry of the ledger was written; `null` when there is none. */
    readonly newestEntryMs: number | null;
    /** Why it can't be opened. */
    readonly trouble: string | null;
  };
}

const NEEDED_NODE = 24;
const GIGABYTE = 1024 ** 3;

export function checkMachine({ nodeVersion, nowMs, freeBytes, state }: Machine): Finding[] {
  const { ok, bad } = findingsOf('gateway');
  const found: Finding[] = [];
  if (Number(nodeVersion.split('.')[0]) < NEEDED_NODE) {
    found.push(
      bad('fail', 'gateway.node', {
        found: `it runs on Node ${nodeVersion}`,
        why: `Countersign is tested on Node ${NEEDED_NODE}; older ones no longer get security fixes.`,
        fix: 'npm install -g node@24  # or by your system’s packages',
      }),
    );
  } else found.push(ok('gateway.node', `Node ${nodeVersion.split('.')[0]}`));

  if (state.trouble !== null) {
    found.push(
      bad('fail', 'state.open', {
        found: `the state ${state.name} can’t be opened: ${state.trouble}`,
        why: 'Nothing can be decided, recorded or applied without it.',
        fix: 'countersign ledger verify  # says whether it is whole; otherwise bring it back from your copy',
      }),
    );
    return found;
  }
  const free = (freeBytes / GIGABYTE).toFixed(1);
  if (freeBytes < GIGABYTE) {
    found.push(
      bad(freeBytes < GIGABYTE / 10 ? 'fail' : 'warn', 'state.disk', {
        found: `${free} GB are left on the disk of the state`,
        why: 'When the ledger can’t be written nothing that writes is executed.',
        fix: 'make room: df -h; du -xh --max-depth=2 / | sort -h | tail',
      }),
    );
  } else found.push(ok('state.disk', 'there is room on the disk of the state'));
  if (Math.abs(state.clockAheadMs) > 2000) {
    found.push(
      bad('fail', 'state.skew', {
        found: `the clock of the state’s server is ${(Math.abs(state.clockAheadMs) / 1000).toFixed(1)} s ${state.clockAheadMs > 0 ? 'ahead of' : 'behind'} this one`,
        why: 'Gateways on several machines end tasks and approvals at different times.',
        fix: 'on both machines: timedatectl set-ntp true  # then: timedatectl timesync-status',
      }),
    );
  }
  const aheadMs = (state.newestEntryMs ?? 0) - nowMs;
  if (aheadMs > 2000) {
    found.push(
      bad('fail', 'state.clock', {
        found: `the newest entry of the ledger is ${Math.round(aheadMs / 1000)} s in the future`,
        why: 'This clock, or the one of another gateway on this state, is or was wrong: tasks and approvals end at the wrong time.',
        fix: 'timedatectl set-ntp true  # then: timedatectl timesync-status',
      }),
    );
  } else found.push(ok('state.clock', 'the ledger’s newest entry is in the past'));
  return found;
}

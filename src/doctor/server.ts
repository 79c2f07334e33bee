import type { Examination } from '../engines/postgres/examine.ts';
import { type Finding, findingsOf, some } from './finding.ts';

/**
 * What a target must be for its writes to be measured, proven and found again after a crash (G5, G6).
 *
 * @param initAgain the command that makes anew what `init` made.
 */
export function checkServer(target: string, examined: Examination, initAgain: string): Finding[] {
  const { ok, bad } = findingsOf(`target ${target}`);
  const { settings, proofSchema, clockAheadMs } = examined;
  const found: Finding[] = [];
  const mustBeOn = (name: string, why: string, level: 'fail' | 'warn' = 'fail') => {
    if (settings.get(name) === 'off') {
      const fix = `ALTER SYSTEM SET ${name} = on; SELECT pg_reload_conf();`;
      found.push(bad(level, `server.${name}`, { found: `${name} is off`, why, fix }));
    } else found.push(ok(`server.${name}`, `${name} is ${settings.get(name) ?? 'on'}`));
  };
  mustBeOn('track_counts', 'Writes can’t be measured before they are committed: all of them are refused.');
  mustBeOn(
    'fsync',
    'After a crash of the machine a change that was told as applied may be gone, or the cluster broken.',
  );
  mustBeOn('full_page_writes', 'After a crash of the machine pages may be half old and half new.');
  mustBeOn(
    'synchronous_commit',
    'What others commit may be gone after a crash, though they were told that it is done. What Countersign commits waits for the disk all the same.',
    'warn',
  );

  found.push(clock(clockAheadMs));
  if (proofSchema.wrong.length > 0) {
    found.push(
      bad('fail', 'server.schema', {
        found: `${some(proofSchema.wrong)} ${proofSchema.wrong.length === 1 ? 'is' : 'are'} missing or not as this version makes them`,
        why: 'There a target keeps what was applied: without it nothing can be applied exactly once.',
        fix: `${initAgain}  # makes what is missing; a table with other columns must be moved out of the way first`,
      }),
    );
  } else found.push(ok('server.schema', 'the schema countersign is as it was made'));
  if (proofSchema.captureFunction !== 'as made') {
    found.push(
      bad('fail', 'server.capture', {
        found: `countersign.capture_change() is ${proofSchema.captureFunction}`,
        why: 'What a plan would do is measured by it: what it doesn’t see, nobody countersigns.',
        fix: initAgain,
      }),
    );
  } else found.push(ok('server.capture', 'the function that captures changes is as it was made'));
  if (proofSchema.strangers.length > 0) {
    found.push(
      bad('fail', 'server.strangers', {
        found: `${some(proofSchema.strangers)} may write to tables of the schema countersign`,
        why: 'Whoever writes there can make a change look applied, or not applied.',
        fix: proofSchema.strangers
          .map(
            (name) => `REVOKE ALL ON ALL TABLES IN SCHEMA countersign FROM ${name === 'PUBLIC' ? name : `"${name}"`};`,
          )
          .join('\n'),
      }),
    );
  }
  for (const { name, walStatus } of examined.replicationSlots.filter(({ active }) => !active)) {
    found.push(
      bad('warn', 'server.slot', {
        found: `the replication slot ${name} is used by nobody and keeps WAL (${walStatus ?? 'unknown'})`,
        why: 'The server’s disk fills up, and then nothing can be written at all.',
        fix: `SELECT pg_drop_replication_slot('${name.replaceAll("'", "''")}');  -- if its subscriber is gone`,
      }),
    );
  }
  return found;

  function clock(aheadMs: number): Finding {
    const seconds = (Math.abs(aheadMs) / 1000).toFixed(1);
    if (Math.abs(aheadMs) < 2000) return ok('server.clock', 'its clock and the gateway’s agree');
    return bad(Math.abs(aheadMs) < 30_000 ? 'warn' : 'fail', 'server.clock', {
      found: `its clock is ${seconds} s ${aheadMs > 0 ? 'ahead of' : 'behind'} the gateway’s`,
      why: 'Tasks, approvals and freezes end by the gateway’s clock; what the database writes down by its own.',
      fix: 'on both machines: timedatectl set-ntp true  # then: timedatectl timesync-status',
    });
  }
}

import { readdir, rename, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { runProgram } from '../programs.ts';

const SEGMENT = /^[0-9A-F]{24}$/;

/** The segments of the log in a directory, in their order. */
export async function segmentsIn(directory: string): Promise<readonly string[]> {
  return (await readdir(directory)).filter((name) => SEGMENT.test(name)).sort();
}

/** Where a segment begins, as `pg_waldump` reads it. */
export function beginningOf(segment: string, segmentBytes: number): string {
  const high = BigInt(`0x${segment.slice(8, 16)}`) << 32n;
  return lsnOf(high + BigInt(`0x${segment.slice(16)}`) * BigInt(segmentBytes));
}

/** @returns the name of the segment before this one ("Write-Ahead Log Internals"). */
export function segmentBefore(segment: string, segmentBytes: number): string {
  const each = 0x1_0000_0000n / BigInt(segmentBytes);
  const number = BigInt(`0x${segment.slice(8, 16)}`) * each + BigInt(`0x${segment.slice(16)}`) - 1n;
  const hex = (part: bigint) => part.toString(16).toUpperCase().padStart(8, '0');
  return `${segment.slice(0, 8)}${hex(number / each)}${hex(number % each)}`;
}

/** What follows in the log of a server on a segment that a base backup ended in. */
export interface Tail {
  readonly directory: string;
  /** The first of it. */
  readonly from: string;
  readonly segmentBytes: number;
}

/**
 * Prepares a directory that `pg_receivewal` goes on from with the last segment of a base backup: that one was received only
 * as far as the backup went, and more stands in it now.
 */
export async function beginTail(directory: string, base: string): Promise<Tail> {
  const from = (await segmentsIn(base)).at(-1);
  if (from === undefined) throw new Error('pg_basebackup brought no segment of the log');
  const { size: segmentBytes } = await stat(join(base, from));
  // It asks for what follows on the newest that is there and whole.
  const before = join(directory, segmentBefore(from, segmentBytes));
  await writeFile(before, '');
  await truncate(before, segmentBytes);
  return { directory, from, segmentBytes };
}

/** Receives what was written up to a place. @throws with what the server says, as when a segment is gone already. */
export async function receiveUntil(
  tail: Tail,
  lsn: string,
  { program, env }: { readonly program: string; readonly env: Readonly<Record<string, string>> },
): Promise<void> {
  const newest = (await segmentsIn(tail.directory)).at(-1);
  // What was broken off is gone on with.
  if (newest !== undefined && newest >= tail.from)
    await rename(join(tail.directory, newest), join(tail.directory, `${newest}.partial`));
  // It ends only when it has more than it was told to: told of the very end, it would wait for others to write.
  const endpos = lsnOf(placeOf(lsn) - 1n);
  await runProgram(program, ['-D', tail.directory, `--endpos=${endpos}`, '--no-loop', '--no-password'], { env });
  for (const name of await readdir(tail.directory))
    if (name < tail.from) await rm(join(tail.directory, name));
    else if (name.endsWith('.partial'))
      await rename(join(tail.directory, name), join(tail.directory, name.slice(0, -'.partial'.length)));
}

/**
 * @param until how far it was received.
 * @returns the transactions (the low 32 bits of their ids) whose commit stands in the log before a place.
 */
export async function committedBefore(
  tail: Tail,
  { lsn, until }: { readonly lsn: string; readonly until: string },
  pgWaldump: string,
): Promise<readonly number[]> {
  const committed: number[] = [];
  const timeline = String(Number.parseInt(tail.from.slice(0, 8), 16));
  const from = beginningOf(tail.from, tail.segmentBytes);
  await runProgram(
    pgWaldump,
    ['--path', tail.directory, '--timeline', timeline, '--rmgr=Transaction', '--start', from, '--end', until],
    {
      onLine: (line) => {
        const commit = commitIn(line);
        // Told to end at the very beginning of a segment it reads what isn't there (PostgreSQL 15): so we look ourselves.
        if (commit !== undefined && placeOf(commit.lsn) < placeOf(lsn)) committed.push(commit.xid);
      },
    },
  );
  return committed;
}

/** @returns whose commit a line of `pg_waldump` tells of, also of one that was prepared, and where it begins. */
export function commitIn(line: string): { readonly xid: number; readonly lsn: string } | undefined {
  const [, running, lsn] = /tx:\s*(\d+), lsn: ([0-9A-F]+\/[0-9A-F]+),/.exec(line) ?? [];
  const [, prepared] = /desc: COMMIT(?:_PREPARED (\d+):)? /.exec(line) ?? [undefined, null];
  if (lsn === undefined || prepared === null) return undefined;
  return { xid: Number(prepared ?? running), lsn };
}

/** A place in the log as a number ("pg_lsn Type"). */
export function placeOf(lsn: string): bigint {
  const [high = '', low = ''] = lsn.split('/');
  return (BigInt(`0x${high}`) << 32n) + BigInt(`0x${low}`);
}

function lsnOf(place: bigint): string {
  return `${(place >> 32n).toString(16)}/${(place & 0xffff_ffffn).toString(16)}`.toUpperCase();
}

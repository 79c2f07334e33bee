import type { DatabaseFailure } from '../../domain/database-failure.ts';
import { EngineFailure, type OwnResult } from '../session.ts';
import { readTextRow } from './wire-messages.ts';

/** What a server answers to one of the gateway's own statements, as it comes. */
export interface OwnReply {
  command: string;
  rows: (readonly (string | null)[])[];
  failure: DatabaseFailure | null;
}

export function emptyOwnReply(): OwnReply {
  return { command: '', rows: [], failure: null };
}

/** @throws EngineFailure when it failed. */
export function ownResult({ command, rows, failure }: OwnReply): OwnResult {
  if (failure !== null) throw new EngineFailure(failure);
  return { command, rows };
}

const DATA_ROW = 0x44;

/** Reads the rows that are whole. @returns the beginning of one whose end is still to come, or `null`. */
export function readOwnRows(bytes: Buffer, reply: OwnReply): Buffer | null {
  for (let at = 0; at < bytes.length; ) {
    const end = bytes.length - at < 5 ? Number.POSITIVE_INFINITY : at + 1 + bytes.readInt32BE(at + 1);
    if (end > bytes.length) return Buffer.from(bytes.subarray(at));
    if (bytes[at] === DATA_ROW) reply.rows.push(readTextRow(bytes.subarray(at + 5, end)));
    at = end;
  }
  return null;
}

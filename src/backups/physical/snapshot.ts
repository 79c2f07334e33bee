/** Which transactions a snapshot saw: `xmin:xmax:in,progress` (PostgreSQL, "pg_snapshot"). */
export interface Snapshot {
  readonly xmax: bigint;
  readonly inProgress: readonly bigint[];
}

/** @throws when it is no text of `pg_current_snapshot()`. */
export function parseSnapshot(text: string): Snapshot {
  const [, xmax, list] = /^\d+:(\d+):([\d,]*)$/.exec(text) ?? [];
  if (xmax === undefined || list === undefined) throw new Error(`${text} is no snapshot`);
  return { xmax: BigInt(xmax), inProgress: list === '' ? [] : list.split(',').map(BigInt) };
}

const HALF = 0x8000_0000;

/**
 * Whether a transaction that has committed is one that the snapshot doesn't see.
 *
 * @param xid its low 32 bits, as the log writes it: it is older or newer by less than half of all ids.
 */
export function isUnseen({ xmax, inProgress }: Snapshot, xid: number): boolean {
  if (inProgress.some((one) => Number(BigInt.asUintN(32, one)) === xid)) return true;
  return (xid - Number(BigInt.asUintN(32, xmax))) >>> 0 < HALF;
}

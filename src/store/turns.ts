import { statements } from './schema.ts';
import type { Reader } from './store.ts';
import { type Write, write } from './write.ts';

/** Work that comes round, and that one gateway does for all: whose turn it is, and how it went the last times. */
export interface Turn {
  readonly name: string;
  /** Until when somebody has it; it is anybody's afterwards. */
  readonly untilMs: number;
  readonly triedMs: number;
  /** In a row. */
  readonly failures: number;
  /** Why the last one failed. */
  readonly why: string | null;
}

export function noTurn(name: string): Turn {
  return { name, untilMs: 0, triedMs: 0, failures: 0, why: null };
}

export async function turns(store: Reader): Promise<ReadonlyMap<string, Turn>> {
  const rows = await store.all(statements.selectFrom('turns').selectAll());
  return new Map(
    rows.map((row) => [
      row.name,
      {
        name: row.name,
        untilMs: Number(row.until_ms),
        triedMs: Number(row.tried_ms),
        failures: Number(row.failures),
        why: row.why,
      },
    ]),
  );
}

/** Fails as a guard where somebody has it, or has had it since it was looked at. */
export function takeTurn(
  seen: Turn,
  { holder, nowMs, untilMs }: { holder: string; nowMs: number; untilMs: number },
): Write {
  const taken = { holder, until_ms: untilMs, tried_ms: nowMs };
  return write(
    statements
      .insertInto('turns')
      .values({ name: seen.name, ...taken, failures: 0, why: null })
      .onConflict((conflict) =>
        conflict
          .column('name')
          .doUpdateSet(taken)
          .where('turns.until_ms', '<=', nowMs)
          .where('turns.tried_ms', '=', seen.triedMs),
      ),
    1,
  );
}

/** Fails as a guard once it is somebody else's. */
export function keepTurn(name: string, holder: string, untilMs: number): Write {
  return write(
    statements.updateTable('turns').set({ until_ms: untilMs }).where('name', '=', name).where('holder', '=', holder),
    1,
  );
}

/** @param how `null` when it was cut off, and is neither done nor failed. */
export function endTurn(
  name: string,
  holder: string,
  how: { readonly failures: number; readonly why: string | null } | null,
): Write {
  return write(
    statements
      .updateTable('turns')
      .set({ until_ms: 0, ...(how ?? {}) })
      .where('name', '=', name)
      .where('holder', '=', holder),
  );
}

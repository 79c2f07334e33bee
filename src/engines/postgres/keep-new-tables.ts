import type pg from 'pg';
import { keepableBy, keepRowsOf } from './kept-writes.ts';
import { quoteLiteral } from './quote.ts';

/** Whoever uses a new table goes first: it is tried again with the next change of the catalogue. */
const LOCK_TIMEOUT_MS = 250;

/**
 * Lays what keeps rows on tables that were made since `init`, past Countersign, by owners whose rights the apply login has
 * (G8): the rights to read and write them come with default privileges, and the way back is to come with these.
 *
 * @returns whether it laid any. Tables that it can't lay it on stay without, and writes to them become plans.
 */
export async function keepNewTables(deps: {
  /** Under the session login. */
  readonly ask: (sql: string) => Promise<readonly Record<string, unknown>[]>;
  readonly applyLogin: string;
  readonly asApplier: <Result>(work: (client: pg.Client) => Promise<Result>) => Promise<Result>;
  readonly onTrouble: (error: unknown) => void;
}): Promise<boolean> {
  const rows = await deps.ask(`SELECT name FROM (${keepableBy(quoteLiteral(deps.applyLogin))}) AS t WHERE NOT kept`);
  if (rows.length === 0) return false;
  return deps.asApplier(async (client) => {
    await client.query(`SET lock_timeout = ${LOCK_TIMEOUT_MS}`);
    let laid = false;
    for (const { name } of rows) {
      try {
        await client.query(keepRowsOf(String(name)));
        laid = true;
      } catch (error) {
        deps.onTrouble(new Error(`${String(name)} can’t be given what keeps the rows of writes`, { cause: error }));
      }
    }
    return laid;
  });
}

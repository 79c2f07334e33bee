import type pg from 'pg';
import { failureFrom } from '../run-statements.ts';

const ATTEMPTS = 3;
const DEADLOCK = '40P01';

/**
 * Does work that takes strong locks one after the other, anew where it met somebody who takes them in another order (the
 * gateway's own look at the catalogue is enough): up to a savepoint nothing is lost.
 */
export async function pastDeadlocks<Result>(client: pg.Client, work: () => Promise<Result>): Promise<Result> {
  await client.query('SAVEPOINT countersign_attempt');
  for (let attempt = 1; ; attempt++) {
    try {
      const result = await work();
      await client.query('RELEASE SAVEPOINT countersign_attempt');
      return result;
    } catch (error) {
      if (attempt === ATTEMPTS || failureFrom(error)?.sqlstate !== DEADLOCK) throw error;
      await client.query('ROLLBACK TO SAVEPOINT countersign_attempt');
    }
  }
}

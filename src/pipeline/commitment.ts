import { createHash, randomBytes } from 'node:crypto';
import { digestOf } from '../domain/digest.ts';
import type { Commitment, Statement } from '../domain/intent.ts';
import type { WrittenStatement } from '../execution/transaction.ts';

/**
 * Binds the ledger to exactly this statement and its values without showing them: whoever is given text, values and
 * salt can check them against the entry; who is not can't guess them from the digest.
 */
export function commitment(statement: Statement): Commitment {
  const salt = newSalt();
  return {
    salt,
    commitment: digestOf({ salt, text: statement.text, parameters: statement.parameters.map((p) => ({ ...p })) }),
  };
}

/** What the ledger is told of a write. */
export function commitmentOf({ statement, sealed }: WrittenStatement): Commitment {
  return sealed === undefined ? commitment(statement) : { ...sealed };
}

/** Commits to values that are too large to be kept, while they pass. */
export interface PassingValues {
  /** Hands on what comes. The values begin in the first piece, after `before` bytes. */
  pass(pieces: AsyncIterable<Buffer>, before: number): AsyncGenerator<Buffer, void>;
  /** Once all has passed. */
  sealed(): Commitment;
}

/**
 * The values count as they stand in the Bind message, from the parameters' formats to its end: `values` is the SHA-256 of
 * the salt and those bytes.
 */
export function commitToPassing(text: string): PassingValues {
  const salt = newSalt();
  const hash = createHash('sha256').update(salt);
  let bytes = 0;
  return {
    async *pass(pieces, before) {
      let skip = before;
      for await (const piece of pieces) {
        const values = piece.subarray(skip);
        skip = 0;
        hash.update(values);
        bytes += values.length;
        yield piece;
      }
    },
    sealed: () => ({
      salt,
      commitment: digestOf({ salt, text, values: `sha256:${hash.digest('hex')}` }),
      valuesBytes: bytes,
    }),
  };
}

function newSalt(): string {
  return randomBytes(16).toString('base64url');
}

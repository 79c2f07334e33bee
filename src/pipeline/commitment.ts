import { randomBytes } from 'node:crypto';
import { digestOf } from '../domain/digest.ts';
import type { Digest } from '../domain/ids.ts';
import type { Statement } from '../domain/intent.ts';

/**
 * Binds the ledger to exactly this statement and its values without showing them: whoever is given text, values and
 * salt can check them against the entry; who is not can't guess them from the digest.
 */
export function commitment(statement: Statement): { readonly salt: string; readonly commitment: Digest } {
  const salt = randomBytes(16).toString('base64url');
  return {
    salt,
    commitment: digestOf({ salt, text: statement.text, parameters: statement.parameters.map((p) => ({ ...p })) }),
  };
}

import { noteKeyId, type SigningKey, verifyEd25519 } from './signing-key.ts';

/** What a ledger vouches for: that its first `size` entries have this root (C2SP tlog-checkpoint). */
export interface Checkpoint {
  readonly origin: string;
  readonly size: number;
  readonly root: Buffer;
}

/** A checkpoint as a signed note (C2SP signed-note): text, an empty line, and a line a signature. */
export function signCheckpoint({ origin, size, root }: Checkpoint, key: SigningKey): string {
  const text = `${origin}\n${size}\n${root.toString('base64')}\n`;
  const signature = Buffer.concat([noteKeyId(key.name, key.publicKey), key.sign(Buffer.from(text, 'utf8'))]);
  return `${text}\n— ${key.name} ${signature.toString('base64')}\n`;
}

/** The size that a checkpoint tells, whoever signed it. */
export function checkpointSize(note: string): number {
  return Number(/^[^\n]*\n(\d{1,16})\n/.exec(note)?.[1] ?? Number.NaN);
}

const NOTE = /^([^\n]+)\n(0|[1-9][0-9]{0,15})\n([A-Za-z0-9+/]{43}=)\n\n((?:— [^ \n]+ [A-Za-z0-9+/]+=*\n)+)$/;

/** Reads a checkpoint that was verified before. @throws Error when it is none. */
export function readCheckpoint(note: string): Checkpoint {
  const [, origin = '', size = '', root = ''] = NOTE.exec(note) ?? [];
  if (root === '') throw new Error('it is not a checkpoint');
  return { origin, size: Number(size), root: Buffer.from(root, 'base64') };
}

/**
 * Reads a checkpoint and verifies that the key's owner signed it. Other signatures (of witnesses) are left alone.
 *
 * @throws when it is no checkpoint, or has no valid signature by the key.
 */
export function openCheckpoint(
  note: string,
  key: { readonly name: string; readonly publicKey: Uint8Array },
): Checkpoint {
  const match = NOTE.exec(note);
  if (match === null) throw new Error('it is not a checkpoint');
  const [, origin = '', size = '', root = '', signatures = ''] = match;
  const text = Buffer.from(`${origin}\n${size}\n${root}\n`, 'utf8');
  const keyId = noteKeyId(key.name, key.publicKey);
  const signed = signatures
    .trimEnd()
    .split('\n')
    .some((line) => {
      const [, name, base64 = ''] = line.split(' ');
      const signature = Buffer.from(base64, 'base64');
      return (
        name === key.name &&
        signature.toString('base64') === base64 &&
        signature.subarray(0, 4).equals(keyId) &&
        verifyEd25519(key.publicKey, text, signature.subarray(4))
      );
    });
  if (!signed) throw new Error(`it has no valid signature of ${key.name}`);
  return { origin, size: Number(size), root: Buffer.from(root, 'base64') };
}

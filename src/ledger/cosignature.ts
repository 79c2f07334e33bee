import { COSIGNATURE, noteKeyId, type SigningKey, verifyEd25519 } from './signing-key.ts';

/** Who cosigns: their name in a note, and their public key. */
export interface WitnessKey {
  readonly name: string;
  readonly publicKey: Uint8Array;
}

const TIMESTAMP_BYTES = 8;

/**
 * A cosignature v1 of a checkpoint, as a line of a signed note (C2SP tlog-cosignature).
 *
 * @param atSeconds since the epoch.
 */
export function cosign(note: string, key: SigningKey, atSeconds: number): string {
  const time = Buffer.alloc(TIMESTAMP_BYTES);
  time.writeBigUInt64BE(BigInt(atSeconds));
  const signature = key.sign(cosigned(note, BigInt(atSeconds)));
  const blob = Buffer.concat([noteKeyId(key.name, key.publicKey, COSIGNATURE), time, signature]);
  return `— ${key.name} ${blob.toString('base64')}\n`;
}

/** The line among these by which this witness cosigned the note. */
export function cosignatureOf(note: string, lines: string, { name, publicKey }: WitnessKey): string | undefined {
  const keyId = noteKeyId(name, publicKey, COSIGNATURE);
  return lines.split('\n').find((line) => {
    const [dash, named, base64 = '', more] = line.split(' ');
    const blob = Buffer.from(base64, 'base64');
    return (
      dash === '—' &&
      named === name &&
      more === undefined &&
      blob.toString('base64') === base64 &&
      blob.length === keyId.length + TIMESTAMP_BYTES + 64 &&
      blob.subarray(0, keyId.length).equals(keyId) &&
      verifyEd25519(
        publicKey,
        cosigned(note, blob.readBigUInt64BE(keyId.length)),
        blob.subarray(keyId.length + TIMESTAMP_BYTES),
      )
    );
  });
}

/** Which of these witnesses cosigned a note, each once. */
export function witnessesOf<Key extends WitnessKey>(note: string, keys: readonly Key[]): readonly Key[] {
  const lines = note.slice(note.indexOf('\n\n') + 2);
  return keys.filter((key) => cosignatureOf(note, lines, key) !== undefined);
}

function cosigned(note: string, atSeconds: bigint): Buffer {
  const text = note.slice(0, note.indexOf('\n\n') + 1);
  return Buffer.from(`cosignature/v1\ntime ${atSeconds}\n${text}`, 'utf8');
}

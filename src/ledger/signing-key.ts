import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign,
  verify,
} from 'node:crypto';
import { readFileSync, statSync, writeFileSync } from 'node:fs';

/** The Ed25519 key that signs checkpoints (RFC 8032). */
export interface SigningKey {
  /** The key's name in a signed note: the ledger's origin. */
  readonly name: string;
  readonly publicKey: Buffer;
  sign(message: Uint8Array): Buffer;
}

/** Makes a key and keeps it as PKCS#8 PEM in a file that only its owner can read. */
export function createSigningKey(path: string): void {
  const { privateKey } = generateKeyPairSync('ed25519');
  writeFileSync(path, privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600, flag: 'wx' });
}

/** @throws when the file is missing, no Ed25519 key, or readable by others. */
export function loadSigningKey(path: string, name: string): SigningKey {
  if ((statSync(path).mode & 0o077) !== 0) throw new Error(`${path} can be read by others; run: chmod 600 ${path}`);
  const key = createPrivateKey(readFileSync(path));
  if (key.asymmetricKeyType !== 'ed25519') throw new Error(`${path} is not an Ed25519 key`);
  return { name, publicKey: rawPublicKey(createPublicKey(key)), sign: (message) => sign(null, message, key) };
}

const SPKI_PREFIX = Buffer.from('302a300506032b6570032100', 'hex');

/** The 32 bytes of an Ed25519 public key (RFC 8410 §4 puts twelve in front of them). */
export function rawPublicKey(key: KeyObject): Buffer {
  return key.export({ type: 'spki', format: 'der' }).subarray(SPKI_PREFIX.length);
}

export function verifyEd25519(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  const key = createPublicKey({ key: Buffer.concat([SPKI_PREFIX, publicKey]), format: 'der', type: 'spki' });
  return verify(null, message, key, signature);
}

/** Names a key without being it: `sha256:` over its 32 bytes. */
export function keyId(publicKey: Uint8Array): string {
  return `sha256:${createHash('sha256').update(publicKey).digest('hex')}`;
}

const ED25519 = 0x01;
/** An Ed25519 key that cosigns what another key has signed (C2SP tlog-cosignature). */
export const COSIGNATURE = 0x04;
type KeyType = typeof ED25519 | typeof COSIGNATURE;

/** The short id of a key in a signed note (C2SP signed-note): the first four bytes of a hash over name, type and key. */
export function noteKeyId(name: string, publicKey: Uint8Array, type: KeyType = ED25519): Buffer {
  return createHash('sha256')
    .update(`${name}\n`)
    .update(Buffer.from([type]))
    .update(publicKey)
    .digest()
    .subarray(0, 4);
}

/** A verifier key as C2SP writes it: `<name>+<key id, hex>+<base64 of type and key>`. */
export function verifierKey(name: string, publicKey: Uint8Array, type: KeyType = ED25519): string {
  const typed = Buffer.concat([Buffer.from([type]), publicKey]);
  return `${name}+${noteKeyId(name, publicKey, type).toString('hex')}+${typed.toString('base64')}`;
}

/** @throws when the text is no Ed25519 verifier key, or its key id isn't the one of its key. */
export function parseVerifierKey(
  text: string,
  type: KeyType = ED25519,
): { readonly name: string; readonly publicKey: Buffer } {
  const match = /^([^+\s]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/]+=*)$/.exec(text.trim());
  const typed = Buffer.from(match?.[3] ?? '', 'base64');
  const name = match?.[1] ?? '';
  const publicKey = typed.subarray(1);
  if (typed.length !== 33 || typed[0] !== type || noteKeyId(name, publicKey, type).toString('hex') !== match?.[2]) {
    throw new Error(`this is no Ed25519 verifier key of ${type === ED25519 ? 'a log' : 'a witness'} (name+id+base64)`);
  }
  return { name, publicKey };
}

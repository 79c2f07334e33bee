import { createPrivateKey, createPublicKey, generateKeyPairSync, sign } from 'node:crypto';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { rawPublicKey } from '../ledger/signing-key.ts';

/** A person's own Ed25519 key (RFC 8032): with it, and with nothing else, this person countersigns. */
export interface PersonKey {
  readonly publicKey: Buffer;
  sign(message: Uint8Array): Buffer;
}

/** Makes a key, keeps it as PKCS#8 PEM in a file that only its owner can read, and returns its public part as the configuration writes it. */
export function createPersonKey(path: string): string {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  writeFileSync(path, privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600, flag: 'wx' });
  return `ed25519:${rawPublicKey(publicKey).toString('base64')}`;
}

/** @throws Error when the file is missing, no Ed25519 key, or readable by others. */
export function loadPersonKey(path: string): PersonKey {
  if ((statSync(path).mode & 0o077) !== 0) throw new Error(`${path} can be read by others; run: chmod 600 ${path}`);
  const key = createPrivateKey(readFileSync(path));
  if (key.asymmetricKeyType !== 'ed25519') throw new Error(`${path} is not an Ed25519 key`);
  return { publicKey: rawPublicKey(createPublicKey(key)), sign: (message) => sign(null, message, key) };
}

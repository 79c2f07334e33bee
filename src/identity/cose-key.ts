import { createPublicKey } from 'node:crypto';
import type { COSEALG } from '@simplewebauthn/server/helpers';

const [ES256, EDDSA]: readonly [COSEALG.ES256, COSEALG.EdDSA] = [-7, -8];
/** What authenticators may sign with: what the ledger and the independent verifier verify too. */
export const ALGORITHMS = [ES256, EDDSA] as const;

// Labels of COSE keys (RFC 9052 §7, RFC 9053 §7).
const [KTY, CRV, X, Y] = [1, -1, -2, -3] as const;
const [OKP, EC2] = [1, 2] as const;
const [P256, ED25519] = [1, 6] as const;

/** A key as authenticators write it, as {@link Passkey.publicKey} does; `undefined` for kinds that aren't verified here. */
export async function publicKeyOf(cose: Uint8Array<ArrayBuffer>): Promise<string | undefined> {
  const { decodeCredentialPublicKey } = await import('@simplewebauthn/server/helpers');
  const key = decodeCredentialPublicKey(cose) as unknown as ReadonlyMap<number, unknown>;
  const [x, y] = [key.get(X), key.get(Y)];
  if (!(x instanceof Uint8Array) || x.length !== 32) return undefined;
  if (key.get(KTY) === OKP && key.get(CRV) === ED25519) return `ed25519:${Buffer.from(x).toString('base64')}`;
  if (key.get(KTY) !== EC2 || key.get(CRV) !== P256 || !(y instanceof Uint8Array) || y.length !== 32) return undefined;
  const part = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64url');
  // Only a point of the curve is a key: anything else throws here.
  createPublicKey({ key: { kty: 'EC', crv: 'P-256', x: part(x), y: part(y) }, format: 'jwk' });
  return `p256:${Buffer.concat([Buffer.of(4), x, y]).toString('base64')}`;
}

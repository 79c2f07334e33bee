import { createHash } from 'node:crypto';
import canonicalize from 'canonicalize';
import { asId, type Digest } from './ids.ts';

/** What JSON can hold. Every value that is digested, signed or put into the ledger is one. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json | undefined };

/**
 * The canonical form of a value: JSON Canonicalization Scheme, RFC 8785. Keys with the value `undefined` are left out.
 *
 * @throws when the value has no canonical form (a number that is not finite, a lone surrogate).
 */
export function canonicalJson(value: Json): string {
  const text = canonicalize(value);
  if (text === undefined) throw new Error('the value has no canonical JSON form');
  return text;
}

/** SHA-256 over the canonical form, as `sha256:<hex>`. */
export function digestOf(value: Json): Digest {
  return digestOfBytes(Buffer.from(canonicalJson(value), 'utf8'));
}

export function digestOfBytes(bytes: Uint8Array): Digest {
  return asId<Digest>(`sha256:${createHash('sha256').update(bytes).digest('hex')}`);
}

const DIGEST = /^sha256:[0-9a-f]{64}$/;

export function isDigest(text: string): text is Digest {
  return DIGEST.test(text);
}

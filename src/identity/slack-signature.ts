import { createHmac } from 'node:crypto';
import { digestOfBytes } from '../domain/digest.ts';
import type { Digest } from '../domain/ids.ts';
import { sameText } from './secret-token.ts';

/** A request that claims to come from Slack, as it came: what is signed are its bytes. */
export interface SignedCallback {
  readonly body: Buffer;
  /** `X-Slack-Request-Timestamp` and `X-Slack-Signature`. */
  readonly timestamp: string | undefined;
  readonly signature: string | undefined;
}

/** Older ones, and those of a clock so far ahead, count for nothing. */
export const SIGNED_WITHIN_MS = 5 * 60_000;

/**
 * Whether Slack has signed a request, just now: version 0, HMAC-SHA256 over `v0:`, the moment, `:` and the raw body
 * (https://docs.slack.dev/authentication/verifying-requests-from-slack).
 *
 * @returns the digest of what was signed, or why it counts for nothing.
 */
export function verifySlackSignature(
  { body, timestamp = '', signature = '' }: SignedCallback,
  secret: string,
  nowMs: number,
): { readonly callback: Digest } | { readonly why: string } {
  if (secret === '') return { why: 'there is no signing secret' };
  if (!/^\d{1,12}$/.test(timestamp)) return { why: 'it does not say when it was signed' };
  if (Math.abs(nowMs - Number(timestamp) * 1000) > SIGNED_WITHIN_MS)
    return { why: 'it was signed more than five minutes ago, or one of the clocks is wrong' };
  const signed = Buffer.concat([Buffer.from(`v0:${timestamp}:`, 'utf8'), body]);
  const expected = `v0=${createHmac('sha256', secret).update(signed).digest('hex')}`;
  if (!sameText(signature, expected)) return { why: 'its signature is not Slack’s, or the signing secret is another' };
  return { callback: digestOfBytes(signed) };
}

import { z } from 'zod';
import type { Assertion } from '../../identity/signed-by-passkey.ts';

/** What browsers send of authenticators: `PublicKeyCredential.toJSON()` (WebAuthn Level 3 §5.1), without what isn't used. */

const base64url = z.string().regex(/^[\w-]*$/);
const id = base64url.min(1).max(1400);

export const REGISTRATION = z.object({
  id,
  rawId: id,
  type: z.literal('public-key'),
  response: z.object({ clientDataJSON: base64url.max(4096), attestationObject: base64url.max(16_384) }),
});

export const ASSERTION = z.object({
  id,
  rawId: id,
  type: z.literal('public-key'),
  response: z.object({
    clientDataJSON: base64url.max(4096),
    authenticatorData: base64url.max(4096),
    signature: base64url.max(200),
    userHandle: base64url.max(128).nullish(),
  }),
});

export function assertionOf({ id: credential, response }: z.infer<typeof ASSERTION>): Assertion {
  const { userHandle, ...signed } = response;
  return { id: credential, response: { ...signed, ...(userHandle ? { userHandle } : {}) } };
}

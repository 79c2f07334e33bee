import { createHash } from 'node:crypto';
import { z } from 'zod';
import { preAuthenticationEncoding } from './pre-authentication-encoding.ts';
import { verifyWebAuthn } from './webauthn-signature.ts';

/**
 * Holds what passkeys signed against the passkeys that the ledger itself tells of: each verdict by one must be by one that
 * its person had then, and over just that verdict. Whether those passkeys are really theirs is for a trust policy to say.
 */
export interface PasskeyApprovals {
  /** Takes the entries in their order. @returns what is wrong with one, or `undefined`. */
  take(entry: string): string | undefined;
}

const passkeySchema = z.object({
  event: z.literal('confirmed'),
  person: z.string(),
  credential: z.string(),
  publicKey: z.string(),
  rpId: z.string(),
  origin: z.string(),
});

const verdictSchema = z.object({
  person: z.string(),
  envelope: z.object({
    payloadType: z.string(),
    payload: z.string(),
    signatures: z.tuple([
      z.object({
        sig: z.string(),
        webauthn: z.object({ credential: z.string(), authenticatorData: z.string(), clientData: z.string() }),
      }),
    ]),
  }),
});

const SIGNED: ReadonlySet<string> = new Set(['approval', 'rejection', 'break-glass', 'incident review', 'delegation']);

export function createPasskeyApprovals(): PasskeyApprovals {
  const known = new Map<string, z.infer<typeof passkeySchema>>();

  function passkey(subject: string, body: unknown): undefined {
    const confirmed = passkeySchema.safeParse(body);
    if (confirmed.success) known.set(subject, confirmed.data);
    else known.delete(subject);
  }

  function verdict(body: unknown): string | undefined {
    const read = verdictSchema.safeParse(body);
    if (!read.success) return undefined;
    const { person, envelope } = read.data;
    const [{ sig, webauthn }] = envelope.signatures;
    const theirs = [...known.values()].find((one) => one.person === person && one.credential === webauthn.credential);
    if (theirs === undefined) return `it is signed by a passkey that ${person} did not have`;
    const payload = Buffer.from(envelope.payload, 'base64');
    const signed = verifyWebAuthn({
      ...theirs,
      challenge: createHash('sha256').update(preAuthenticationEncoding(envelope.payloadType, payload)).digest(),
      authenticatorData: Buffer.from(webauthn.authenticatorData, 'base64'),
      clientData: Buffer.from(webauthn.clientData, 'base64'),
      signature: Buffer.from(sig, 'base64'),
    });
    return signed.valid ? undefined : `the signature of ${person}’s passkey does not count: ${signed.why}`;
  }

  return {
    take(entry) {
      // Most entries are neither, and are told apart without being read.
      if (!entry.includes('"passkey"') && !entry.includes('"webauthn"')) return undefined;
      const { kind, subject, body } = JSON.parse(entry) as { kind: string; subject: string; body: unknown };
      if (kind === 'passkey') return passkey(subject, body);
      return SIGNED.has(kind) ? verdict(body) : undefined;
    },
  };
}

import { ApiError, send } from './api.ts';

export type Verdict = 'approve' | 'reject';

/** There is no passkey to sign with here; the command line is the other way. */
export class NoPasskeys extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'NoPasskeys';
  }
}

/**
 * Signs a verdict with the person's device: the gateway says what is to be signed, and its digest is what the device is
 * asked to sign (WebAuthn §7.2).
 *
 * @throws NoPasskeys when this browser or this gateway has none.
 */
export async function countersign(plan: string, verdict: Verdict, reason: string): Promise<void> {
  const assertion = await assertionFor(await optionsFor(`/api/plans/${plan}/verdict/options`, { verdict, reason }));
  await send(`/api/plans/${plan}/verdict`, { verdict, reason, assertion });
}

async function optionsFor(path: string, body: unknown): Promise<PublicKeyCredentialRequestOptionsJSON> {
  try {
    return await send<PublicKeyCredentialRequestOptionsJSON>(path, body);
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) throw new NoPasskeys('This gateway takes no passkeys yet.');
    if (error instanceof ApiError && error.code === 'no_passkey') throw new NoPasskeys(error.message);
    throw error;
  }
}

/** Asks the device. @throws NoPasskeys where the browser can't; Error when the person did not want to. */
export async function assertionFor(options: PublicKeyCredentialRequestOptionsJSON): Promise<unknown> {
  if (!('PublicKeyCredential' in window) || !window.isSecureContext)
    throw new NoPasskeys('This browser can’t use passkeys here.');
  try {
    const credential = await navigator.credentials.get({
      publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(options),
    });
    if (!(credential instanceof PublicKeyCredential)) throw new Error('The device gave no answer.');
    return credential.toJSON();
  } catch (error) {
    if (error instanceof DOMException && error.name === 'NotAllowedError')
      throw new Error('The device did not sign: it was called off, or took too long. Nothing was decided.', {
        cause: error,
      });
    throw error;
  }
}

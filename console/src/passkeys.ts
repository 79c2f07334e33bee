import { get, send } from './api.ts';

/** A passkey as its owner sees it; one that nobody has vouched for counts for nothing. */
export interface Passkey {
  readonly id: string;
  readonly origin: string;
  readonly registeredAt: string;
  readonly confirmed: boolean;
}

/** There is no passkey to sign with here; the command line is the other way. */
export class NoPasskeys extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'NoPasskeys';
  }
}

/** @throws NoPasskeys when the signed-in person has none that counts at this address. */
export async function requirePasskey(): Promise<void> {
  const { passkeys } = await get<{ passkeys: readonly Passkey[] }>('/api/passkeys');
  const here = passkeys.filter(({ origin }) => origin === location.origin);
  if (here.some(({ confirmed }) => confirmed)) return;
  throw new NoPasskeys(
    here.length === 0
      ? 'You have no passkey here yet.'
      : 'Nobody has vouched for your passkey yet, so it does not count.',
  );
}

/** Makes a passkey on this device. @returns the command that vouches for it; `null` when that needs nobody. */
export async function registerPasskey(): Promise<string | null> {
  requireBrowser();
  const options = await send<PublicKeyCredentialCreationOptionsJSON>('/api/passkeys/options');
  const credential = await asked(() =>
    navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(options) }),
  );
  const { confirm } = await send<{ confirm: string | null }>('/api/passkeys', credential);
  return confirm;
}

/** Asks the device to sign. @throws NoPasskeys where the browser can’t; Error when the person did not want to. */
export async function assertionFor(options: PublicKeyCredentialRequestOptionsJSON): Promise<unknown> {
  requireBrowser();
  return asked(() =>
    navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(options) }),
  );
}

/** Shows the gateway that the person is still there. @throws NoPasskeys when there is none to do it with here. */
export async function stepUp(): Promise<void> {
  await requirePasskey();
  const options = await send<PublicKeyCredentialRequestOptionsJSON>('/api/session/step-up/options');
  await send('/api/session/step-up', await assertionFor(options));
}

function requireBrowser(): void {
  if (!('PublicKeyCredential' in window) || !window.isSecureContext)
    throw new NoPasskeys('This browser can’t use passkeys here.');
}

async function asked(ask: () => Promise<Credential | null>): Promise<unknown> {
  try {
    const credential = await ask();
    if (!(credential instanceof PublicKeyCredential)) throw new Error('The device gave no answer.');
    return credential.toJSON();
  } catch (error) {
    if (!(error instanceof DOMException)) throw error;
    const said = error.name === 'InvalidStateError' ? 'This device has a passkey for you already.' : CALLED_OFF;
    throw new Error(said, { cause: error });
  }
}

const CALLED_OFF = 'The device did not sign: it was called off, or took too long. Nothing was decided.';

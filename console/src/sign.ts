import { send } from './api.ts';
import { assertionFor, requirePasskey } from './passkeys.ts';

/**
 * Has the person's device sign what the gateway says, byte for byte: it signs its digest, and nothing else can be made of
 * that.
 *
 * @param path where to send what was signed; what to sign is asked for below it. @throws NoPasskeys when there is none here.
 */
export async function signAt<Answer>(path: string, asked: object): Promise<Answer> {
  await requirePasskey();
  const { payload, options } = await send<{ payload: string; options: PublicKeyCredentialRequestOptionsJSON }>(
    `${path}/options`,
    asked,
  );
  return send<Answer>(path, { payload, assertion: await assertionFor(options) });
}

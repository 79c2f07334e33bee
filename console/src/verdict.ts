import { send } from './api.ts';
import { assertionFor, requirePasskey } from './passkeys.ts';

export type Verdict = 'approve' | 'reject';

/**
 * Signs a verdict with the person's device. The gateway says what the verdict is, byte for byte, and the device signs its
 * digest: nothing else can be made of it.
 *
 * @throws NoPasskeys when there is none to sign with here.
 */
export async function countersign(plan: string, verdict: Verdict, reason: string): Promise<void> {
  await requirePasskey();
  const { payload, options } = await send<{ payload: string; options: PublicKeyCredentialRequestOptionsJSON }>(
    `/api/plans/${plan}/verdict/options`,
    { verdict, reason },
  );
  await send(`/api/plans/${plan}/verdict`, { payload, assertion: await assertionFor(options) });
}

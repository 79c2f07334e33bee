import { signAt } from './sign.ts';

export type Verdict = 'approve' | 'reject';

/** Signs a verdict with the person's device. @throws NoPasskeys when there is none to sign with here. */
export async function countersign(plan: string, verdict: Verdict, reason: string): Promise<void> {
  await signAt(`/api/plans/${plan}/verdict`, { verdict, reason });
}

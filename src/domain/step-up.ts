import type { Tier } from './environment.ts';

/**
 * What a session alone is not enough for, once it is a while since the person showed who they are: whoever finds a browser
 * open could do it. What only stops or takes away is never here: that must be quick, and loses nothing.
 */
export const STEP_UP = {
  'halt.resume': 'always',
  'passkey.register': 'always',
  'plan.apply': 'in production',
  'change.undo': 'in production',
} as const;
export type SteppedUpAct = keyof typeof STEP_UP;

/** @param tier where it is done; what is done nowhere in particular counts as production. */
export function asksForStepUp(act: SteppedUpAct, tier: Tier = 'production'): boolean {
  return STEP_UP[act] === 'always' || tier === 'production';
}

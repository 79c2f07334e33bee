/** Who waits for a call: may call it off, and is told how far it is. */
export interface Watch {
  readonly signal: AbortSignal;
  step(step: Step): void;
}

/** What takes time in the way of a statement, in the order it comes. */
export type Step = 'running' | 'measuring' | 'dry run' | 'second dry run' | 'recording';

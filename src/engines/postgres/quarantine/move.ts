/** One step out of the way, and what takes it back. */
export interface Move {
  readonly out: readonly string[];
  readonly back: readonly string[];
}

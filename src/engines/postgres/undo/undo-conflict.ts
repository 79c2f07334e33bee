/** A change can't be undone as the target is now; nothing has been changed. */
export class UndoConflict extends Error {
  /** One line for each row or table that stands in the way; at most as many as a person reads. */
  readonly conflicts: readonly string[];
  constructor(conflicts: readonly string[]) {
    super(conflicts.join('; '));
    this.name = 'UndoConflict';
    this.conflicts = conflicts;
  }
}

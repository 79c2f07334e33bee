/** Schemas of a target that hold what approved plans have dropped, begin with this: one for each schema it came from. */
export const QUARANTINE_PREFIX = 'countersign_quarantine_';

/** What a target keeps of a drop: moved out of everybody's reach, and back again by an undo. */
export interface Quarantined {
  /** The plan that dropped it. */
  readonly change: string;
  /** ISO 8601. */
  readonly since: string;
  /** Nobody lets go of it before, nor by itself after: then its purge is due. */
  readonly until: string;
  readonly due: boolean;
  readonly bytes: number;
  readonly objects: readonly QuarantinedObject[];
}

export interface QuarantinedObject {
  /** Kind and name as it was, as the catalogue fingerprint lists it. */
  readonly object: string;
  /** Of a table, where they were counted. */
  readonly rows?: number;
}

/** A database's error, as it reports it, field for field (PostgreSQL, "Error and Notice Message Fields"). */
export interface DatabaseFailure {
  readonly sqlstate: string;
  readonly severity: string;
  readonly message: string;
  readonly detail?: string;
  readonly hint?: string;
  readonly position?: string;
}

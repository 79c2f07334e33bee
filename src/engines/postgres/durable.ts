/**
 * An SQL expression that makes the open transaction's COMMIT wait for the disk where the server, the database, a login or
 * a function has it otherwise (`synchronous_commit = off`): what the ledger says took effect must be there after a crash.
 * Where commits wait for standbys, too, they go on doing so.
 */
export const WAITING_FOR_THE_DISK = waiting(true);

/** The same for a whole session, for what commits by itself. */
export const ALWAYS_WAITING_FOR_THE_DISK = waiting(false);

function waiting(local: boolean): string {
  return `CASE WHEN pg_catalog.current_setting('synchronous_commit') = 'off' THEN pg_catalog.set_config('synchronous_commit', 'on', ${local}) END`;
}

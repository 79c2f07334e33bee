import { spawnSync } from 'node:child_process';
import type pg from 'pg';
import { RefusalError } from '../../domain/refusal.ts';
import type { Target } from '../../domain/target.ts';
import type { Credential } from '../../engines/engine.ts';
import { refusesReplication } from '../../engines/postgres/connect-replication.ts';
import { quoteIdentifier } from '../../engines/postgres/quote.ts';
import { findCopyPrograms } from '../programs.ts';

/** What keeps the files of a server from being copied, and what mends it. */
export interface Obstacle {
  readonly found: string;
  readonly fix: string;
}

/** `pg_basebackup` takes two: one for the files, one for the log. */
const SENDERS = 2;

/**
 * Looks for all that a physical backup needs and this server, login or machine hasn't.
 *
 * @param client a connection under the backup login.
 */
export async function obstaclesToCopy(
  target: Target,
  credential: Credential,
  client: pg.Client,
): Promise<readonly Obstacle[]> {
  const { rows } = await client.query<Facts>(FACTS);
  const [facts] = rows;
  if (facts === undefined) throw new Error('the server does not tell what it can do');
  const login = quoteIdentifier(credential.user);
  if (facts.service !== null) {
    return [
      {
        found: `${target.id} is managed (there is a role ${facts.service}): such services let nobody copy the server's files`,
        fix: `targets.${target.id}.backup.method: logical, and the snapshots of the service beside it`,
      },
    ];
  }
  const found: Obstacle[] = [];
  if (facts.standby)
    found.push({
      found: `${target.id} is a standby, where no moment can be marked in the log`,
      fix: 'name the primary as the target’s address',
    });
  if (!facts.replicates)
    found.push({ found: `${credential.user} may not replicate`, fix: `ALTER ROLE ${login} REPLICATION;` });
  if (!facts.readsSizes)
    found.push({
      found: `${credential.user} can’t see how large the databases of the server are`,
      fix: `GRANT pg_read_all_stats TO ${login};`,
    });
  if (facts.walLevel === 'minimal')
    found.push({
      found: 'wal_level is minimal: the log doesn’t hold what a copy needs',
      fix: 'ALTER SYSTEM SET wal_level = replica;  -- and restart the server',
    });
  if (facts.senders - facts.busy < SENDERS)
    found.push({
      found: `${facts.busy} of max_wal_senders = ${facts.senders} are taken, and a copy needs ${SENDERS}`,
      fix: `ALTER SYSTEM SET max_wal_senders = ${facts.busy + SENDERS + 2};  -- and restart the server`,
    });
  // Before these are mended it would be refused anyway.
  const refused = facts.replicates && facts.senders > 0 ? await refusesReplication(target.endpoint, credential) : null;
  if (refused !== null)
    found.push({
      found: `the server lets no connection for replication in: ${refused}`,
      fix: `in pg_hba.conf: ${target.endpoint.tls === 'disable' ? 'host' : 'hostssl'} replication ${login} ${facts.from ?? '<this machine>'} scram-sha-256\nthen SELECT pg_reload_conf();`,
    });
  return [...found, ...missingHere(facts.major)];
}

function missingHere(serverMajor: number): readonly Obstacle[] {
  const found: Obstacle[] = [];
  try {
    findCopyPrograms(serverMajor);
  } catch (error) {
    if (!(error instanceof RefusalError)) throw error;
    found.push({ found: error.refusal.message, fix: error.refusal.hint });
  }
  if (spawnSync('tar', ['--version']).status !== 0)
    found.push({ found: 'There is no tar here.', fix: 'Install it: a base backup is tar files.' });
  return found;
}

interface Facts {
  readonly major: number;
  readonly standby: boolean;
  readonly walLevel: string;
  readonly senders: number;
  readonly busy: number;
  readonly replicates: boolean;
  readonly readsSizes: boolean;
  readonly service: string | null;
  readonly from: string | null;
}

const FACTS = `
  SELECT pg_catalog.current_setting('server_version_num')::int / 10000 AS major, pg_catalog.pg_is_in_recovery() AS standby,
         pg_catalog.current_setting('wal_level') AS "walLevel", pg_catalog.current_setting('max_wal_senders')::int AS senders,
         (SELECT pg_catalog.count(*)::int FROM pg_catalog.pg_stat_get_wal_senders()) AS busy,
         r.rolreplication OR r.rolsuper AS replicates, pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE') AS "readsSizes",
         (SELECT s.rolname::text FROM pg_catalog.pg_roles AS s
          WHERE s.rolname IN ('rds_superuser', 'azure_pg_admin', 'cloudsqlsuperuser', 'alloydbsuperuser', 'neon_superuser') LIMIT 1) AS service,
         pg_catalog.inet_client_addr()::text AS "from"
  FROM pg_catalog.pg_roles AS r WHERE r.rolname = CURRENT_USER`;

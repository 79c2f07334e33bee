import type pg from 'pg';
import type { Profile } from '../../domain/profile.ts';
import type { Target } from '../../domain/target.ts';
import { profileName } from './profiles.ts';
import { quoteIdentifier } from './quote.ts';

/**
 * Drops the logins of profiles that nobody uses: no task that is kept needs them, no session runs under them, and a look
 * some time ago said the same. A login that holds grants and serves nobody is a risk and no use.
 *
 * @param suspects what the look before has returned: whoever has just asked for a login has not connected yet.
 * @returns the logins that nobody uses and that are still there.
 */
export async function retireProfiles(
  client: pg.Client,
  {
    target,
    keep,
    suspects,
  }: { readonly target: Target; readonly keep: readonly Profile[]; readonly suspects: ReadonlySet<string> },
): Promise<{ readonly retired: readonly string[]; readonly unused: readonly string[] }> {
  const kept = new Set(keep.map((profile) => profileName(profile, target).name));
  const candidates = (await unusedLogins(client)).filter((login) => !kept.has(login.slice(0, -'_r'.length)));
  const retired: string[] = [];
  for (const login of candidates.filter((name) => suspects.has(name))) {
    if (await drop(client, login)) retired.push(login);
  }
  return { retired, unused: candidates.filter((login) => !retired.includes(login)) };
}

/** Logins that were made for a profile of this database, and under which nobody is connected. */
async function unusedLogins(client: pg.Client): Promise<readonly string[]> {
  const { rows } = await client.query<{ login: string }>(
    `SELECT r.rolname AS login FROM pg_catalog.pg_roles AS r
     WHERE r.rolname ~ '^cs_[0-9a-f]{16}_[rw]$'
       AND pg_catalog.shobj_description(r.oid, 'pg_authid') LIKE 'countersign profile %'
       AND pg_catalog.has_database_privilege(r.oid, pg_catalog.current_database(), 'CONNECT')
       AND NOT EXISTS (SELECT FROM pg_catalog.pg_stat_activity AS a WHERE a.usesysid = r.oid)
     ORDER BY 1`,
  );
  return rows.map(({ login }) => login);
}

/** @returns false when somebody came in the meantime, or another gateway was faster. */
async function drop(client: pg.Client, login: string): Promise<boolean> {
  const role = quoteIdentifier(login);
  await client.query('BEGIN');
  try {
    // Nobody makes one while another is dropped.
    await client.query(
      "SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('countersign profiles', 0))",
    );
    const still = await client.query('SELECT 1 FROM pg_catalog.pg_roles WHERE rolname = $1', [login]);
    if (still.rowCount === 0) {
      await client.query('ROLLBACK');
      return false;
    }
    // From here on nobody connects under it.
    await client.query(`ALTER ROLE ${role} NOLOGIN`);
    const used = await client.query('SELECT 1 FROM pg_catalog.pg_stat_activity WHERE usename = $1', [login]);
    if (used.rowCount !== 0) {
      await client.query('ROLLBACK');
      return false;
    }
    // Who drops what a role holds must be a member of it.
    await client.query(`GRANT ${role} TO CURRENT_USER`);
    await client.query(`DROP OWNED BY ${role}`);
    await client.query(`DROP ROLE ${role}`);
    await client.query('COMMIT');
    return true;
  } catch (error) {
    await client.query('ROLLBACK');
    throw error;
  }
}

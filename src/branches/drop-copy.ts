import type { Branch } from '../domain/branch.ts';
import { quoteIdentifier } from '../engines/postgres/quote.ts';
import { type BranchServer, connectServer } from './branch-server.ts';

/**
 * Takes a branch's database away, with whoever is connected to it, and the logins that were there for nothing else. What is
 * gone already is no fault.
 *
 * @param base `kept` where other branches share it.
 */
export async function dropCopy(
  server: BranchServer,
  branch: Pick<Branch, 'id' | 'base'>,
  base: 'kept' | 'dropped',
): Promise<void> {
  const admin = await connectServer(server, server.endpoint.database);
  try {
    for (const database of base === 'kept' ? [branch.id] : [branch.id, branch.base])
      await admin.query(`DROP DATABASE IF EXISTS ${quoteIdentifier(database)} WITH (FORCE)`);
    const { rows } = await admin.query<{ rolname: string }>(NEEDED_NOWHERE);
    for (const { rolname } of rows) await admin.query(`DROP ROLE IF EXISTS ${quoteIdentifier(rolname)}`);
  } finally {
    await admin.end();
  }
}

/** Logins of tasks that own nothing, and hold no right, in any database that is left. */
const NEEDED_NOWHERE = `
  SELECT rolname FROM pg_catalog.pg_roles AS r
  WHERE rolname ~ '^cs_[0-9a-f]{16}_[rw]$'
    AND NOT EXISTS (SELECT FROM pg_catalog.pg_shdepend AS d WHERE d.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass AND d.refobjid = r.oid)`;

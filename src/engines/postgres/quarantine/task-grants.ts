import type pg from 'pg';
import { SESSION_ROLE } from '../setup.ts';
import type { Move } from './move.ts';

/**
 * Takes from relations what logins of tasks hold on them, by taking it from whoever has given it to them. Without USAGE of
 * the schema they can't name them any more; but by its oid a sequence could be advanced, and statistics tell values to
 * whoever may read the column.
 *
 * On the way back the gateway's login gets what it had; it hands it on when a task next needs it.
 *
 * @param oids of relations.
 */
export async function withoutTaskGrants(client: pg.Client, oids: readonly string[]): Promise<readonly Move[]> {
  const { rows } = await client.query<{ revoke: string; grants: string[] }>(GRANTED, [oids, SESSION_ROLE]);
  return rows.map(({ revoke, grants }) => ({ out: [revoke], back: grants }));
}

const GRANTED = `
  WITH granted AS (
    SELECT c.oid, CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END AS kind, pg_catalog.format('%I.%I', n.nspname, c.relname) AS name, a.privilege_type AS privilege, a.is_grantable, '' AS columns
    FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace, pg_catalog.aclexplode(c.relacl) AS a
    WHERE c.oid = ANY ($1::oid[]) AND a.grantee = pg_catalog.to_regrole($2)::oid AND a.grantor = c.relowner
    UNION ALL
    SELECT c.oid, 'TABLE', pg_catalog.format('%I.%I', n.nspname, c.relname), a.privilege_type, a.is_grantable, pg_catalog.format(' (%I)', t.attname)
    FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace JOIN pg_catalog.pg_attribute AS t ON t.attrelid = c.oid AND NOT t.attisdropped, pg_catalog.aclexplode(t.attacl) AS a
    WHERE c.oid = ANY ($1::oid[]) AND a.grantee = pg_catalog.to_regrole($2)::oid AND a.grantor = c.relowner
  )
  SELECT pg_catalog.format('REVOKE ALL ON %s %s FROM %I CASCADE', kind, name, $2::text) AS revoke,
         pg_catalog.array_agg(pg_catalog.format('GRANT %s%s ON %s %s TO %I%s', privilege, columns, kind, name, $2::text, CASE WHEN is_grantable THEN ' WITH GRANT OPTION' ELSE '' END) ORDER BY privilege, columns) AS grants
  FROM granted GROUP BY kind, name ORDER BY name`;

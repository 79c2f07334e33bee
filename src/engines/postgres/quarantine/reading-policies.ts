import type pg from 'pg';
import type { Move } from './move.ts';

/**
 * Policies that read tables which stay, and would keep these from being changed: they are dropped, and made again once
 * their table is back.
 *
 * @param oids of relations that go.
 */
export async function policiesReadingOthers(client: pg.Client, oids: readonly string[]): Promise<readonly Move[]> {
  const { rows } = await client.query<{ drop: string; make: string; comment: string | null }>(POLICIES, [oids]);
  return rows.map(({ drop, make, comment }) => ({ out: [drop], back: comment === null ? [make] : [make, comment] }));
}

const POLICIES = `
  SELECT 'DROP' || named.policy AS drop,
         'CREATE' || named.policy || pg_catalog.format(' AS %s FOR %s TO %s', CASE WHEN p.polpermissive THEN 'PERMISSIVE' ELSE 'RESTRICTIVE' END,
           CASE p.polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE' WHEN 'd' THEN 'DELETE' ELSE 'ALL' END,
           (SELECT pg_catalog.string_agg(CASE r.oid WHEN 0 THEN 'PUBLIC' ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(r.oid)) END, ', ' ORDER BY r.place) FROM pg_catalog.unnest(p.polroles) WITH ORDINALITY AS r (oid, place)))
           || coalesce(' USING (' || pg_catalog.pg_get_expr(p.polqual, p.polrelid) || ')', '') || coalesce(' WITH CHECK (' || pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid) || ')', '') AS make,
         'COMMENT ON' || named.policy || ' IS ' || pg_catalog.quote_literal(pg_catalog.obj_description(p.oid, 'pg_policy')) AS comment
  FROM pg_catalog.pg_policy AS p JOIN pg_catalog.pg_class AS c ON c.oid = p.polrelid JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
  CROSS JOIN LATERAL (SELECT pg_catalog.format(' POLICY %I ON %I.%I', p.polname, n.nspname, c.relname) AS policy) AS named
  WHERE p.polrelid = ANY ($1::oid[])
    AND EXISTS (SELECT FROM pg_catalog.pg_depend AS d
                WHERE d.classid = 'pg_catalog.pg_policy'::pg_catalog.regclass AND d.objid = p.oid AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
                  AND d.refobjid >= 16384 AND NOT d.refobjid = ANY ($1::oid[]))
  ORDER BY named.policy`;

import type pg from 'pg';

/**
 * Grants as text, in an order of their own, and without those to logins of tasks: they come and go with the tasks, and are
 * no part of what an object is.
 */
function grantsIn(column: string): string {
  return `(SELECT pg_catalog.array_agg(item::text ORDER BY item::text COLLATE "C")::text FROM pg_catalog.unnest(${column}) AS item WHERE item::text !~ '^cs_[0-9a-f]{16}_[rw]=')`;
}

/**
 * One row for each object of the users' schemas: what it is, its name, its definition as JSON, without oids and in a
 * fixed order, so that the same schema has the same rows wherever it was made. Needs an empty `search_path`, because
 * definitions are then written with every name qualified.
 */
export const FINGERPRINT = `
  WITH ns AS (
    SELECT oid, nspname FROM pg_catalog.pg_namespace WHERE nspname !~ '^(pg_|countersign_quarantine_)' AND nspname NOT IN ('information_schema', 'countersign', 'countersign_masks')
  ), member AS (
    SELECT classid, objid FROM pg_catalog.pg_depend WHERE deptype = 'e'
  ), rel AS (
    SELECT c.*, ns.nspname FROM pg_catalog.pg_class AS c JOIN ns ON ns.oid = c.relnamespace
    WHERE NOT EXISTS (SELECT FROM member WHERE classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND objid = c.oid)
  )
  SELECT 'schema' AS kind, nspname::text AS name, pg_catalog.jsonb_build_object('owner', pg_catalog.pg_get_userbyid(n.nspowner), 'acl', ${grantsIn('n.nspacl')})::text AS definition
  FROM pg_catalog.pg_namespace AS n WHERE n.oid IN (SELECT oid FROM ns)
  UNION ALL
  SELECT CASE relkind WHEN 'r' THEN 'table' WHEN 'p' THEN 'partitioned table' WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view'
                      WHEN 'S' THEN 'sequence' WHEN 'f' THEN 'foreign table' ELSE 'composite type' END,
         nspname || '.' || relname,
         pg_catalog.jsonb_build_object(
           'owner', pg_catalog.pg_get_userbyid(relowner), 'persistence', relpersistence, 'acl', ${grantsIn('relacl')}, 'options', reloptions,
           'rowSecurity', relrowsecurity, 'forced', relforcerowsecurity, 'identity', relreplident,
           'partition', pg_catalog.pg_get_expr(relpartbound, oid),
           'partitionKey', CASE WHEN relkind = 'p' THEN pg_catalog.pg_get_partkeydef(oid) END,
           'parents', (SELECT pg_catalog.array_agg(inhparent::pg_catalog.regclass::text ORDER BY inhseqno) FROM pg_catalog.pg_inherits WHERE inhrelid = rel.oid),
           'query', CASE WHEN relkind IN ('v', 'm') THEN pg_catalog.pg_get_viewdef(oid) END,
           'sequence', (SELECT pg_catalog.jsonb_build_array(seqtypid::pg_catalog.regtype::text, seqstart, seqincrement, seqmax, seqmin, seqcache, seqcycle) FROM pg_catalog.pg_sequence WHERE seqrelid = rel.oid),
           'comment', pg_catalog.obj_description(oid, 'pg_class'))::text
  FROM rel WHERE relkind IN ('r', 'p', 'v', 'm', 'S', 'f', 'c')
  UNION ALL
  SELECT 'column', nspname || '.' || relname || '.' || attname,
         pg_catalog.jsonb_build_object('type', pg_catalog.format_type(atttypid, atttypmod), 'notNull', attnotnull, 'identity', attidentity, 'generated', attgenerated,
           'default', pg_catalog.pg_get_expr(ad.adbin, ad.adrelid), 'acl', ${grantsIn('attacl')}, 'comment', pg_catalog.col_description(rel.oid, attnum))::text
  FROM rel JOIN pg_catalog.pg_attribute ON attrelid = rel.oid AND attnum > 0 AND NOT attisdropped
  LEFT JOIN pg_catalog.pg_attrdef AS ad ON ad.adrelid = rel.oid AND ad.adnum = attnum
  WHERE relkind IN ('r', 'p', 'v', 'm', 'f', 'c')
  UNION ALL
  SELECT 'constraint', nspname || '.' || relname || '.' || conname,
         pg_catalog.jsonb_build_object('definition', pg_catalog.pg_get_constraintdef(k.oid), 'valid', convalidated)::text
  FROM rel JOIN pg_catalog.pg_constraint AS k ON conrelid = rel.oid
  UNION ALL
  SELECT 'index', nspname || '.' || rel.relname, pg_catalog.jsonb_build_object('definition', pg_catalog.pg_get_indexdef(rel.oid), 'valid', indisvalid)::text
  FROM rel JOIN pg_catalog.pg_index ON indexrelid = rel.oid
  UNION ALL
  SELECT 'trigger', nspname || '.' || relname || '.' || tgname, pg_catalog.jsonb_build_object('definition', pg_catalog.pg_get_triggerdef(t.oid), 'enabled', tgenabled)::text
  FROM rel JOIN pg_catalog.pg_trigger AS t ON tgrelid = rel.oid WHERE NOT tgisinternal AND (tgname !~ '^~countersign' OR tgfoid NOT IN (SELECT oid FROM pg_catalog.pg_proc WHERE pronamespace = (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = 'countersign')))
  UNION ALL
  SELECT 'rule', nspname || '.' || relname || '.' || rulename, pg_catalog.jsonb_build_object('definition', pg_catalog.pg_get_ruledef(r.oid), 'enabled', ev_enabled)::text
  FROM rel JOIN pg_catalog.pg_rewrite AS r ON ev_class = rel.oid WHERE rulename <> '_RETURN'
  UNION ALL
  SELECT 'policy', nspname || '.' || relname || '.' || polname,
         pg_catalog.jsonb_build_object('command', polcmd, 'permissive', polpermissive, 'using', pg_catalog.pg_get_expr(polqual, polrelid), 'check', pg_catalog.pg_get_expr(polwithcheck, polrelid), 'roles', polroles::pg_catalog.regrole[]::text)::text
  FROM rel JOIN pg_catalog.pg_policy ON polrelid = rel.oid
  UNION ALL
  SELECT CASE prokind WHEN 'p' THEN 'procedure' WHEN 'a' THEN 'aggregate' ELSE 'function' END,
         ns.nspname || '.' || proname || '(' || pg_catalog.pg_get_function_identity_arguments(p.oid) || ')',
         pg_catalog.jsonb_build_object('definition', CASE WHEN prokind IN ('f', 'p', 'w') THEN pg_catalog.pg_get_functiondef(p.oid) ELSE prosrc END, 'owner', pg_catalog.pg_get_userbyid(proowner), 'acl', proacl::text)::text
  FROM pg_catalog.pg_proc AS p JOIN ns ON ns.oid = pronamespace
  WHERE NOT EXISTS (SELECT FROM member WHERE classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND objid = p.oid)
  UNION ALL
  SELECT 'type', ns.nspname || '.' || typname,
         pg_catalog.jsonb_build_object('type', typtype, 'base', CASE WHEN typbasetype <> 0 THEN pg_catalog.format_type(typbasetype, typtypmod) END, 'default', typdefault, 'notNull', typnotnull,
           'labels', (SELECT pg_catalog.array_agg(enumlabel::text ORDER BY enumsortorder) FROM pg_catalog.pg_enum WHERE enumtypid = t.oid),
           'checks', (SELECT pg_catalog.array_agg(pg_catalog.pg_get_constraintdef(k.oid) ORDER BY conname) FROM pg_catalog.pg_constraint AS k WHERE contypid = t.oid))::text
  FROM pg_catalog.pg_type AS t JOIN ns ON ns.oid = typnamespace
  WHERE typtype IN ('e', 'd', 'r') AND NOT EXISTS (SELECT FROM member WHERE classid = 'pg_catalog.pg_type'::pg_catalog.regclass AND objid = t.oid)
  UNION ALL
  SELECT 'extension', extname::text, pg_catalog.jsonb_build_object('version', extversion, 'schema', extnamespace::pg_catalog.regnamespace::text)::text FROM pg_catalog.pg_extension
  UNION ALL
  SELECT 'event trigger', evtname::text, pg_catalog.jsonb_build_object('event', evtevent, 'function', evtfoid::pg_catalog.regproc::text, 'enabled', evtenabled)::text FROM pg_catalog.pg_event_trigger
  UNION ALL
  SELECT 'role', rolname::text, pg_catalog.jsonb_build_object('super', rolsuper, 'login', rolcanlogin, 'createRole', rolcreaterole, 'members',
           (SELECT pg_catalog.array_agg(member::pg_catalog.regrole::text ORDER BY member::pg_catalog.regrole::text COLLATE "C") FROM pg_catalog.pg_auth_members WHERE roleid = r.oid))::text
  FROM pg_catalog.pg_roles AS r WHERE rolname !~ '^(pg_|cs_|countersign_)'`;

/** An object's definition by `kind name`. */
export type Fingerprint = ReadonlyMap<string, string>;

export async function readFingerprint(client: pg.Client): Promise<Fingerprint> {
  const { rows } = await client.query<{ kind: string; name: string; definition: string }>(FINGERPRINT);
  return new Map(rows.map((row) => [`${row.kind} ${row.name}`, row.definition]));
}

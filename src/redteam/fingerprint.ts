import type pg from 'pg';
import { quoteIdentifier } from '../engines/postgres/quote.ts';

/**
 * Everything that an attack could change, as a superuser sees it outside of the gateway: a line for each part, and what
 * is in it. What the gateway says of itself is not asked.
 */
export type Fingerprint = ReadonlyMap<string, string>;

/** The gateway writes these itself, for every write and every plan: they are left out, and nothing else is. */
export const LEFT_OUT = ['countersign.applied', 'countersign.written', 'countersign.captured'] as const;

/** @param client a superuser’s, on the database that is watched. */
export async function takeFingerprint(client: pg.Client): Promise<Fingerprint> {
  const found = new Map<string, string>();
  const { rows: catalogue } = await client.query<{ part: string; print: string | null }>(CATALOGUE);
  for (const { part, print } of catalogue) found.set(part, print ?? '');
  const { rows: relations } = await client.query<{ kind: string; schema: string; name: string }>(RELATIONS);
  const reads = relations.map(({ kind, schema, name }, at) => {
    const from = `${quoteIdentifier(schema)}.${quoteIdentifier(name)}`;
    return kind === 'S'
      ? `SELECT ${at} AS at, last_value || ' ' || is_called AS print FROM ${from}`
      : `SELECT ${at} AS at, count(*) || ' ' || coalesce(md5(string_agg(md5(r::text), '' ORDER BY md5(r::text))), '') AS print FROM ONLY ${from} AS r`;
  });
  if (reads.length === 0) return found;
  const { rows: contents } = await client.query<{ at: number; print: string }>(reads.join('\nUNION ALL\n'));
  for (const { at, print } of contents) {
    const relation = relations[at];
    if (relation === undefined) continue;
    found.set(`${relation.kind === 'S' ? 'sequence' : 'rows of'} ${relation.schema}.${relation.name}`, print);
  }
  return found;
}

/** What differs, a line each. */
export function differences(before: Fingerprint, after: Fingerprint): readonly string[] {
  const parts = new Set([...before.keys(), ...after.keys()]);
  return [...parts]
    .filter((part) => before.get(part) !== after.get(part))
    .map((part) =>
      /^(rows|sequence)/.test(part) ? `${part}: ${told(before.get(part))} → ${told(after.get(part))}` : part,
    )
    .sort();
}

function told(print: string | undefined): string {
  const rows = /^(\d+) [0-9a-f]*$/.exec(print ?? '');
  return print === undefined ? 'none' : rows === null ? print : `${rows[1]} rows`;
}

/** Only the values of sequences went up: what a rolled-back trial leaves behind in PostgreSQL. */
export function onlySequencesAdvanced(before: Fingerprint, after: Fingerprint): boolean {
  const parts = [...new Set([...before.keys(), ...after.keys()])].filter(
    (part) => before.get(part) !== after.get(part),
  );
  return parts.every((part) => {
    if (!part.startsWith('sequence ')) return false;
    const value = (print: Fingerprint) => BigInt((print.get(part) ?? '0').split(' ')[0] ?? '0');
    return value(after) >= value(before);
  });
}

const RELATIONS = `
  SELECT c.relkind::text AS kind, n.nspname AS schema, c.relname AS name
  FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'm', 'S') AND n.nspname !~ '^pg_(toast|catalog)|^information_schema$' AND n.nspname <> 'countersign'
    AND c.relpersistence <> 't' AND (c.relkind <> 'm' OR c.relispopulated)
  ORDER BY 1, 2, 3`;

/** Catalogues whose rows users make: rows with an oid beyond the server’s own. */
const BY_OID = [
  'pg_proc',
  'pg_type',
  'pg_trigger',
  'pg_rewrite',
  'pg_constraint',
  'pg_policy',
  'pg_attrdef',
  'pg_operator',
  'pg_opclass',
  'pg_opfamily',
  'pg_cast',
  'pg_conversion',
  'pg_collation',
  'pg_language',
  'pg_event_trigger',
  'pg_extension',
  'pg_am',
  'pg_foreign_data_wrapper',
  'pg_foreign_server',
  'pg_user_mapping',
  'pg_statistic_ext',
  'pg_publication',
  'pg_publication_rel',
  'pg_ts_config',
  'pg_ts_dict',
  'pg_ts_parser',
  'pg_ts_template',
  'pg_default_acl',
  'pg_tablespace',
  'pg_transform',
] as const;
const WHOLE = [
  'pg_auth_members',
  'pg_db_role_setting',
  'pg_largeobject_metadata',
  'pg_enum',
  'pg_aggregate',
  'pg_seclabel',
  'pg_parameter_acl',
] as const;

/**
 * Statistics and vacuum move some columns by themselves; temporary schemas stay empty behind; a session’s own temporary
 * objects end with it, unless a session outlives its client.
 */
const CATALOGUE = [
  ...BY_OID.map(
    (name) =>
      `SELECT '${name}' AS part, md5(string_agg(t::text, E'\\n' ORDER BY t.oid)) AS print FROM pg_catalog.${name} AS t WHERE t.oid >= 16384`,
  ),
  ...WHOLE.map(
    (name) => `SELECT '${name}', md5(string_agg(t::text, E'\\n' ORDER BY t::text)) FROM pg_catalog.${name} AS t`,
  ),
  `SELECT 'pg_class', md5(string_agg((to_jsonb(t) - '{relpages,reltuples,relallvisible,relallfrozen,relfrozenxid,relminmxid,relfilenode}'::text[])::text, E'\\n' ORDER BY t.oid)) FROM pg_catalog.pg_class AS t WHERE t.oid >= 16384`,
  `SELECT 'pg_attribute', md5(string_agg(to_jsonb(t)::text, E'\\n' ORDER BY attrelid, attnum)) FROM pg_catalog.pg_attribute AS t WHERE attrelid >= 16384`,
  `SELECT 'pg_index', md5(string_agg(t::text, E'\\n' ORDER BY indexrelid)) FROM pg_catalog.pg_index AS t WHERE indexrelid >= 16384`,
  `SELECT 'pg_sequence', md5(string_agg(t::text, E'\\n' ORDER BY seqrelid)) FROM pg_catalog.pg_sequence AS t`,
  `SELECT 'pg_inherits', md5(string_agg(t::text, E'\\n' ORDER BY inhrelid)) FROM pg_catalog.pg_inherits AS t`,
  `SELECT 'comments', md5(string_agg(t::text, E'\\n' ORDER BY t::text)) FROM pg_catalog.pg_description AS t WHERE objoid >= 16384 OR classoid = 'pg_catalog.pg_namespace'::regclass`,
  `SELECT 'comments of the cluster', md5(string_agg(t::text, E'\\n' ORDER BY t::text)) FROM pg_catalog.pg_shdescription AS t`,
  `SELECT 'schemas', md5(string_agg(nspname || nspowner || coalesce(nspacl::text, ''), E'\\n' ORDER BY oid)) FROM pg_catalog.pg_namespace WHERE nspname !~ '^pg_(toast_)?temp_'`,
  `SELECT 'databases', md5(string_agg((to_jsonb(t) - '{oid,datfrozenxid,datminmxid}'::text[])::text, E'\\n' ORDER BY datname)) FROM pg_catalog.pg_database AS t WHERE datname !~ '^redteam_spare'`,
  `SELECT 'roles', md5(string_agg(to_jsonb(t)::text, E'\\n' ORDER BY oid)) FROM pg_catalog.pg_authid AS t`,
  `SELECT 'rights on objects of the server', md5(string_agg(o, E'\\n' ORDER BY o)) FROM (
     SELECT 'c' || oid || coalesce(relacl::text, '') AS o FROM pg_catalog.pg_class WHERE oid < 16384 AND relkind IN ('r', 'v')
     UNION ALL SELECT 'p' || oid || coalesce(proacl::text, '') FROM pg_catalog.pg_proc WHERE oid < 16384 AND proacl IS NOT NULL
     UNION ALL SELECT 'l' || oid || coalesce(lanacl::text, '') FROM pg_catalog.pg_language) AS t`,
  `SELECT 'subscriptions', count(*)::text FROM pg_catalog.pg_subscription`,
  `SELECT 'large objects', md5(string_agg(loid || ' ' || pageno || ' ' || md5(data), E'\\n' ORDER BY loid, pageno)) FROM pg_catalog.pg_largeobject`,
  `SELECT 'prepared transactions', string_agg(gid, ' ' ORDER BY gid) FROM pg_catalog.pg_prepared_xacts`,
  `SELECT 'replication slots', string_agg(slot_name, ' ' ORDER BY slot_name) FROM pg_catalog.pg_replication_slots`,
  `SELECT 'replication origins', string_agg(roname, ' ' ORDER BY roname) FROM pg_catalog.pg_replication_origin`,
  `SELECT 'advisory locks', string_agg(classid || ' ' || objid || ' ' || objsubid, ',' ORDER BY classid, objid, objsubid) FROM pg_catalog.pg_locks WHERE locktype = 'advisory'`,
  `SELECT 'sessions at work', string_agg(usename || ' ' || state, ',' ORDER BY usename, state) FROM pg_catalog.pg_stat_activity
   WHERE backend_type = 'client backend' AND pid <> pg_catalog.pg_backend_pid() AND usename <> current_user AND usename NOT LIKE 'countersign%' AND state <> 'idle'`,
  `SELECT 'settings of the server', md5(pg_catalog.pg_read_file('postgresql.auto.conf', 0, 1000000, true))`,
].join('\nUNION ALL\n');

/** What belongs to the whole cluster: making the database anew doesn’t bring it back. */
export const OF_THE_CLUSTER: ReadonlySet<string> = new Set([
  'roles',
  'pg_auth_members',
  'pg_db_role_setting',
  'databases',
  'pg_tablespace',
  'prepared transactions',
  'replication slots',
  'replication origins',
  'settings of the server',
  'comments of the cluster',
  'pg_parameter_acl',
  'subscriptions',
]);

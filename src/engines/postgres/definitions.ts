import type pg from 'pg';
import type { DefinitionMove, Definitions } from '../../domain/drift.ts';
import { FINGERPRINT } from './fingerprint.ts';
import { grantsOf } from './grants-of.ts';

/**
 * What a plan's fingerprint leaves out, because it is no object of a schema, and what may drift all the same: rights on
 * types and on the database, settings, default privileges, replication, servers elsewhere.
 */
const BESIDES = `
  SELECT 'rights on type' AS kind, n.nspname || '.' || t.typname AS name,
         pg_catalog.jsonb_build_object('owner', pg_catalog.pg_get_userbyid(t.typowner), 'acl', t.typacl::text)::text AS definition
  FROM pg_catalog.pg_type AS t JOIN pg_catalog.pg_namespace AS n ON n.oid = t.typnamespace
  WHERE t.typtype IN ('e', 'd', 'r') AND n.nspname !~ '^(pg_|countersign_quarantine_)' AND n.nspname NOT IN ('information_schema', 'countersign', 'countersign_masks')
    AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS d WHERE d.deptype = 'e' AND d.classid = 'pg_catalog.pg_type'::pg_catalog.regclass AND d.objid = t.oid)
  UNION ALL
  SELECT 'database', '(this one)',
         pg_catalog.jsonb_build_object('owner', pg_catalog.pg_get_userbyid(datdba), 'acl', datacl::text, 'connections', datconnlimit)::text
  FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()
  UNION ALL
  -- Settings that extensions and applications make up hold keys now and then: of those only whether they are the same is told.
  SELECT 'setting', s.name || CASE WHEN setrole = 0 THEN '' ELSE ' of ' || pg_catalog.pg_get_userbyid(setrole) END || CASE WHEN setdatabase = 0 THEN ' in all databases' ELSE '' END,
         pg_catalog.jsonb_build_object('value', CASE WHEN s.name ~ '[.]' THEN 'sha256:' || pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(s.value, 'UTF8')), 'hex') ELSE s.value END)::text
  FROM pg_catalog.pg_db_role_setting,
       LATERAL (SELECT pg_catalog.split_part(c, '=', 1) AS name, pg_catalog.substr(c, pg_catalog.strpos(c, '=') + 1) AS value FROM pg_catalog.unnest(setconfig) AS c) AS s
  WHERE (setdatabase = 0 OR setdatabase = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()))
    AND (setrole = 0 OR pg_catalog.pg_get_userbyid(setrole) !~ '^(pg_|cs_|countersign_)')
  UNION ALL
  SELECT 'default privileges', pg_catalog.pg_get_userbyid(defaclrole) || coalesce(' in ' || n.nspname, '') || ' on ' ||
           CASE defaclobjtype WHEN 'r' THEN 'tables' WHEN 'S' THEN 'sequences' WHEN 'f' THEN 'functions' WHEN 'T' THEN 'types' WHEN 'n' THEN 'schemas' ELSE defaclobjtype::text END,
         pg_catalog.jsonb_build_object('acl', defaclacl::text)::text
  FROM pg_catalog.pg_default_acl LEFT JOIN pg_catalog.pg_namespace AS n ON n.oid = defaclnamespace
  UNION ALL
  SELECT 'statistics', n.nspname || '.' || stxname, pg_catalog.jsonb_build_object('definition', pg_catalog.pg_get_statisticsobjdef(s.oid), 'owner', pg_catalog.pg_get_userbyid(stxowner))::text
  FROM pg_catalog.pg_statistic_ext AS s JOIN pg_catalog.pg_namespace AS n ON n.oid = stxnamespace
  WHERE n.nspname !~ '^(pg_|countersign_quarantine_)' AND n.nspname NOT IN ('information_schema', 'countersign', 'countersign_masks')
  UNION ALL
  SELECT 'publication', pubname::text,
         pg_catalog.jsonb_build_object('owner', pg_catalog.pg_get_userbyid(pubowner), 'all tables', puballtables, 'insert', pubinsert, 'update', pubupdate, 'delete', pubdelete, 'truncate', pubtruncate,
           'tables', (SELECT pg_catalog.array_agg(prrelid::pg_catalog.regclass::text ORDER BY prrelid::pg_catalog.regclass::text COLLATE "C") FROM pg_catalog.pg_publication_rel WHERE prpubid = p.oid))::text
  FROM pg_catalog.pg_publication AS p
  UNION ALL
  SELECT 'subscription', subname::text, pg_catalog.jsonb_build_object('owner', pg_catalog.pg_get_userbyid(subowner), 'enabled', subenabled, 'slot', subslotname, 'publications', subpublications)::text
  FROM pg_catalog.pg_subscription WHERE subdbid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
  UNION ALL
  SELECT 'foreign server', srvname::text, pg_catalog.jsonb_build_object('owner', pg_catalog.pg_get_userbyid(srvowner), 'wrapper', fdwname, 'options', srvoptions, 'acl', srvacl::text)::text
  FROM pg_catalog.pg_foreign_server JOIN pg_catalog.pg_foreign_data_wrapper AS w ON w.oid = srvfdw`;

/** The whole schema as it is now, in one statement and so at one moment. Needs an empty `search_path`. */
export async function readDefinitions(client: pg.Client): Promise<Definitions> {
  const { rows } = await client.query<{ kind: string; name: string; definition: string }>(
    `${FINGERPRINT} UNION ALL ${BESIDES}`,
  );
  const { rows: told } = await client.query<{ major: number }>(
    "SELECT pg_catalog.current_setting('server_version_num')::integer / 10000 AS major",
  );
  return {
    objects: new Map(
      rows.map(({ kind, name, definition }) => [`${kind} ${name}`, JSON.stringify(aspectsOf(kind, definition))]),
    ),
    major: told[0]?.major ?? 0,
  };
}

/** What has become of objects in between. */
export function movesBetween(before: Definitions, after: Definitions): readonly DefinitionMove[] {
  const names = new Set([...before.objects.keys(), ...after.objects.keys()]);
  return [...names].sort().flatMap((object) => {
    const [was, is] = [before.objects.get(object) ?? null, after.objects.get(object) ?? null];
    return was === is ? [] : [{ object, before: was, after: is }];
  });
}

/** Without what it has not, and with grants that are the same however they came about. */
function aspectsOf(kind: string, definition: string): Readonly<Record<string, unknown>> {
  const { acl, ...rest } = JSON.parse(definition) as { acl?: string | null } & Record<string, unknown>;
  const owner = typeof rest['owner'] === 'string' ? rest['owner'] : null;
  const grants = acl === undefined ? [] : grantsOf(kind, owner, acl);
  const aspects = Object.entries(rest).filter(([, value]) => value !== null && value !== '' && value !== false);
  if (grants.length > 0) aspects.push(['grants', grants]);
  return Object.fromEntries(aspects.sort(([a], [b]) => (a < b ? -1 : 1)));
}

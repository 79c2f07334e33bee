import type pg from 'pg';
import { QUARANTINE_PREFIX } from '../../../domain/quarantine.ts';

/** Everything that a DROP can take away and that stands by itself, by what it is: its catalogue and oid. */
export type Inventory = ReadonlyMap<string, Standing>;

export interface Standing {
  readonly oid: string;
  readonly kind: 'schema' | 'relation' | 'type' | 'routine' | 'statistics' | 'other';
  /** Of the schema it is in; 0 where it is in none. */
  readonly namespace: string;
  /** As people know it. */
  readonly label: string;
  /** What stands after DROP, and its quoted name after that; `null` for what is no statement's to drop alone. */
  readonly drop: string | null;
  readonly name: string | null;
}

export async function takeInventory(client: pg.Client): Promise<Inventory> {
  const { rows } = await client.query<Standing & { id: string }>(INVENTORY);
  return new Map(rows.map(({ id, ...standing }) => [id, standing]));
}

/** What a real DROP has taken away. */
export function missingFrom(before: Inventory, after: Inventory): readonly Standing[] {
  return [...before].flatMap(([id, standing]) => (after.has(id) ? [] : [standing]));
}

/** Masking views are looked for as well: one that would go is the gateway's own, and can't be moved. */
const INVENTORY = `
  WITH ns AS (
    SELECT oid, nspname FROM pg_catalog.pg_namespace
    WHERE nspname !~ '^(pg_|${QUARANTINE_PREFIX})' AND nspname NOT IN ('information_schema', 'countersign')
  ), standing AS (
    SELECT 'schema' AS kind, 'pg_namespace' AS class, oid, oid AS namespace, 'schema ' || nspname AS label, 'SCHEMA' AS drop, pg_catalog.quote_ident(nspname) AS name FROM ns
    UNION ALL
    SELECT 'relation', 'pg_class', c.oid, ns.oid, pg_catalog.lower(k.drop) || ' ' || ns.nspname || '.' || c.relname, k.drop, pg_catalog.format('%I.%I', ns.nspname, c.relname)
    FROM pg_catalog.pg_class AS c JOIN ns ON ns.oid = c.relnamespace
    CROSS JOIN LATERAL (SELECT CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'S' THEN 'SEQUENCE' WHEN 'f' THEN 'FOREIGN TABLE' WHEN 'c' THEN 'TYPE' ELSE 'TABLE' END AS drop) AS k
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f', 'c')
    UNION ALL
    -- A range brings types of its own along, which ALTER TYPE leaves where they are.
    SELECT CASE WHEN typtype IN ('e', 'd') THEN 'type' ELSE 'other' END, 'pg_type', t.oid, ns.oid, 'type ' || ns.nspname || '.' || typname, 'TYPE', pg_catalog.format('%I.%I', ns.nspname, typname)
    FROM pg_catalog.pg_type AS t JOIN ns ON ns.oid = typnamespace WHERE typtype IN ('e', 'd', 'r')
    UNION ALL
    SELECT 'routine', 'pg_proc', p.oid, ns.oid, 'function ' || ns.nspname || '.' || proname, 'ROUTINE', pg_catalog.format('%I.%I(%s)', ns.nspname, proname, pg_catalog.pg_get_function_identity_arguments(p.oid))
    FROM pg_catalog.pg_proc AS p JOIN ns ON ns.oid = pronamespace
    UNION ALL
    SELECT 'statistics', 'pg_statistic_ext', s.oid, ns.oid, 'statistics ' || ns.nspname || '.' || stxname, NULL, NULL FROM pg_catalog.pg_statistic_ext AS s JOIN ns ON ns.oid = stxnamespace
    UNION ALL
    SELECT 'other', class, oid, namespace, label, NULL, NULL FROM (
      SELECT 'pg_operator' AS class, oid, oprnamespace AS namespace, 'operator ' || oprname AS label FROM pg_catalog.pg_operator
      UNION ALL SELECT 'pg_collation', oid, collnamespace, 'collation ' || collname FROM pg_catalog.pg_collation
      UNION ALL SELECT 'pg_conversion', oid, connamespace, 'conversion ' || conname FROM pg_catalog.pg_conversion
      UNION ALL SELECT 'pg_opclass', oid, opcnamespace, 'operator class ' || opcname FROM pg_catalog.pg_opclass
      UNION ALL SELECT 'pg_opfamily', oid, opfnamespace, 'operator family ' || opfname FROM pg_catalog.pg_opfamily
      UNION ALL SELECT 'pg_ts_config', oid, cfgnamespace, 'text search configuration ' || cfgname FROM pg_catalog.pg_ts_config
      UNION ALL SELECT 'pg_ts_dict', oid, dictnamespace, 'text search dictionary ' || dictname FROM pg_catalog.pg_ts_dict
      UNION ALL SELECT 'pg_ts_parser', oid, prsnamespace, 'text search parser ' || prsname FROM pg_catalog.pg_ts_parser
      UNION ALL SELECT 'pg_ts_template', oid, tmplnamespace, 'text search template ' || tmplname FROM pg_catalog.pg_ts_template
      UNION ALL SELECT 'pg_default_acl', oid, defaclnamespace, 'default rights' FROM pg_catalog.pg_default_acl
      UNION ALL SELECT 'pg_cast', c.oid, t.typnamespace, 'the cast of ' || castsource::pg_catalog.regtype::text FROM pg_catalog.pg_cast AS c JOIN pg_catalog.pg_type AS t ON t.oid = castsource
      UNION ALL SELECT 'pg_transform', oid, 0, 'a transform' FROM pg_catalog.pg_transform
      UNION ALL SELECT 'pg_publication_rel', oid, 0, 'what is published of ' || prrelid::pg_catalog.regclass::text FROM pg_catalog.pg_publication_rel
      UNION ALL SELECT 'pg_publication_namespace', oid, 0, 'what is published of schema ' || pnnspid::pg_catalog.regnamespace::text FROM pg_catalog.pg_publication_namespace
      UNION ALL SELECT 'pg_event_trigger', oid, 0, 'event trigger ' || evtname FROM pg_catalog.pg_event_trigger
      UNION ALL SELECT 'pg_extension', oid, 0, 'extension ' || extname FROM pg_catalog.pg_extension
      UNION ALL SELECT 'pg_foreign_server', oid, 0, 'server ' || srvname FROM pg_catalog.pg_foreign_server
    ) AS others WHERE oid >= 16384
  )
  SELECT class || ' ' || oid AS id, kind, oid::text, namespace::text, label, drop, name FROM standing ORDER BY label`;

import type pg from 'pg';
import { UndoConflict } from './undo-conflict.ts';

/** A table that a change has touched, as it is now, with what is needed to put its rows back. */
export interface UndoTable {
  /** `schema.name`, as capture keeps it: a partition's rows under the root of its tree. */
  readonly relation: string;
  readonly oid: string;
  /** Quoted. */
  readonly name: string;
  /** As it stands in FROM: rows of heirs are not a table's own, rows of partitions are. */
  readonly rows: string;
  /** Columns that can be written; generated ones follow from them. */
  readonly columns: readonly string[];
  /** Those that an UPDATE may write: an identity that is ALWAYS generated is not. */
  readonly assignable: readonly string[];
  /** What tells one row from another; empty where nothing does. */
  readonly key: readonly KeyColumn[];
  /** Types that read kept rows, by the columns which those rows have. */
  readonly forms: readonly RowForm[];
  /** The temporary table that holds what is to come back and what is to go. */
  readonly net: string;
}

export interface KeyColumn {
  readonly column: string;
  /** The operator by which the key's index compares. */
  readonly equals: string;
}

export interface RowForm {
  readonly columns: readonly string[];
  /** Quoted. */
  readonly type: string;
}

/** @throws UndoConflict where a table is gone or has other columns than when its rows were kept. */
export async function undoTables(client: pg.Client, change: string): Promise<readonly UndoTable[]> {
  const { rows: kept } = await client.query<{ relation: string; columns: string[] }>(
    'SELECT DISTINCT relation, columns FROM countersign.captured_rows WHERE change = $1 ORDER BY relation',
    [change],
  );
  const { rows: found } = await client.query<FoundTable>(TABLES, [[...new Set(kept.map(({ relation }) => relation))]]);
  const byRelation = new Map(found.map((table) => [table.relation, table]));
  const tables = new Map<string, UndoTable>();
  for (const { relation, columns } of kept) {
    const table = byRelation.get(relation);
    if (table === undefined) throw new UndoConflict([`${relation} is not there any more`]);
    if (table.cast)
      throw new UndoConflict([`somebody has made a cast to rows of ${relation}: it would read what was kept`]);
    const form = table.forms.find((one) => sameNames(one.columns, columns));
    if (form === undefined) throw new UndoConflict([`${relation} has other columns than when its rows were kept`]);
    const known = tables.get(relation);
    tables.set(relation, {
      relation,
      oid: table.oid,
      name: table.name,
      rows: table.relkind === 'p' ? table.name : `ONLY ${table.name}`,
      columns: table.columns,
      assignable: table.assignable,
      key: table.key ?? [],
      forms: [...(known?.forms ?? []), form],
      net: `pg_temp.countersign_net_${tables.size}`,
      ...(known === undefined ? {} : { net: known.net }),
    });
  }
  return [...tables.values()];
}

function sameNames(one: readonly string[], other: readonly string[]): boolean {
  return one.length === other.length && one.every((name, index) => name === other[index]);
}

interface FoundTable {
  readonly relation: string;
  readonly oid: string;
  readonly name: string;
  readonly relkind: string;
  readonly columns: string[];
  readonly assignable: string[];
  readonly key: KeyColumn[] | null;
  readonly forms: RowForm[];
  /** A cast of somebody's would be asked for its rows, with the rights to write them. */
  readonly cast: boolean;
}

/**
 * A key is an index over columns that are never NULL, without a condition, compared by its own operators: names would be
 * looked up in a search path, and the type's may be elsewhere. A row written past the root has its partition's columns.
 */
const TABLES = `
  SELECT n.nspname || '.' || c.relname AS relation, c.oid::text, pg_catalog.format('%I.%I', n.nspname, c.relname) AS name, c.relkind,
         coalesce(w.columns, '{}') AS columns, coalesce(w.assignable, '{}') AS assignable, k.key, f.forms, f.cast
  FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
  CROSS JOIN LATERAL (
    SELECT pg_catalog.array_agg(a.attname::text ORDER BY a.attnum) AS columns,
           pg_catalog.array_agg(a.attname::text ORDER BY a.attnum) FILTER (WHERE a.attidentity <> 'a') AS assignable
    FROM pg_catalog.pg_attribute AS a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
  ) AS w
  LEFT JOIN LATERAL (
    SELECT pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object('column', a.attname, 'equals', pg_catalog.format('OPERATOR(%I.%s)', o.nspname, o.oprname)) ORDER BY p.place) AS key
    FROM pg_catalog.pg_index AS i JOIN pg_catalog.pg_class AS x ON x.oid = i.indexrelid JOIN pg_catalog.pg_am AS m ON m.oid = x.relam
    CROSS JOIN LATERAL pg_catalog.generate_series(0, i.indnkeyatts - 1) AS p (place)
    LEFT JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = i.indkey[p.place] AND a.attnotnull AND a.attgenerated = ''
    LEFT JOIN pg_catalog.pg_opclass AS s ON s.oid = i.indclass[p.place]
    LEFT JOIN LATERAL (
      SELECT q.oprname, qn.nspname FROM pg_catalog.pg_amop AS e JOIN pg_catalog.pg_operator AS q ON q.oid = e.amopopr JOIN pg_catalog.pg_namespace AS qn ON qn.oid = q.oprnamespace
      WHERE e.amopfamily = s.opcfamily AND e.amoplefttype = s.opcintype AND e.amoprighttype = s.opcintype AND e.amopstrategy = 3
    ) AS o ON true
    WHERE i.indrelid = c.oid AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL AND m.amname = 'btree'
    GROUP BY i.indexrelid, i.indisprimary HAVING pg_catalog.bool_and(a.attname IS NOT NULL AND o.oprname IS NOT NULL)
    ORDER BY i.indisprimary DESC, pg_catalog.count(*), i.indexrelid LIMIT 1
  ) AS k ON true
  CROSS JOIN LATERAL (
    SELECT pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object('type', t.type, 'columns', t.columns) ORDER BY t.oid <> c.oid) AS forms,
           pg_catalog.bool_or(EXISTS (SELECT FROM pg_catalog.pg_cast AS f WHERE f.castmethod = 'f' AND f.casttarget = t.reltype)) AS cast
    FROM (SELECT r.oid, r.reltype, pg_catalog.format('%I.%I', rn.nspname, r.relname) AS type, coalesce(pg_catalog.array_agg(a.attname::text ORDER BY a.attnum), '{}') AS columns
          FROM (SELECT c.oid UNION SELECT l.relid FROM pg_catalog.pg_partition_tree(c.oid) AS l) AS tree
          JOIN pg_catalog.pg_class AS r ON r.oid = tree.oid JOIN pg_catalog.pg_namespace AS rn ON rn.oid = r.relnamespace
          LEFT JOIN pg_catalog.pg_attribute AS a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
          GROUP BY r.oid, r.reltype, rn.nspname, r.relname) AS t
  ) AS f
  WHERE n.nspname || '.' || c.relname = ANY ($1::text[]) AND c.relkind IN ('r', 'p')`;

/** A foreign key that leads to a table of the change. */
export interface Reference {
  /** Quoted, as it stands in FROM. */
  readonly child: string;
  /** `schema.name` of the referencing table, a partition by its root. */
  readonly childRelation: string;
  readonly parentRelation: string;
  readonly columns: readonly { readonly parent: string; readonly child: string; readonly equals: string }[];
}

/** Foreign keys to and between the tables of a change; those that a partition has of its root's are left out. */
export async function referencesTo(client: pg.Client, tables: readonly UndoTable[]): Promise<readonly Reference[]> {
  const { rows } = await client.query<Reference>(REFERENCES, [tables.map(({ oid }) => oid)]);
  return rows;
}

const REFERENCES = `
  SELECT CASE ch.relkind WHEN 'p' THEN '' ELSE 'ONLY ' END || pg_catalog.format('%I.%I', cn.nspname, ch.relname) AS child,
         crn.nspname || '.' || cr.relname AS "childRelation", prn.nspname || '.' || pr.relname AS "parentRelation", k.columns
  FROM pg_catalog.pg_constraint AS f
  JOIN pg_catalog.pg_class AS ch ON ch.oid = f.conrelid JOIN pg_catalog.pg_namespace AS cn ON cn.oid = ch.relnamespace
  JOIN pg_catalog.pg_class AS cr ON cr.oid = coalesce(pg_catalog.pg_partition_root(f.conrelid)::oid, f.conrelid) JOIN pg_catalog.pg_namespace AS crn ON crn.oid = cr.relnamespace
  JOIN pg_catalog.pg_class AS pr ON pr.oid = coalesce(pg_catalog.pg_partition_root(f.confrelid)::oid, f.confrelid) JOIN pg_catalog.pg_namespace AS prn ON prn.oid = pr.relnamespace
  CROSS JOIN LATERAL (
    SELECT pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object('parent', pa.attname, 'child', ca.attname, 'equals', pg_catalog.format('OPERATOR(%I.%s)', qn.nspname, q.oprname)) ORDER BY u.place) AS columns
    FROM ROWS FROM (pg_catalog.unnest(f.conkey), pg_catalog.unnest(f.confkey), pg_catalog.unnest(f.conpfeqop)) WITH ORDINALITY AS u (conkey, confkey, conpfeqop, place)
    JOIN pg_catalog.pg_attribute AS ca ON ca.attrelid = f.conrelid AND ca.attnum = u.conkey
    JOIN pg_catalog.pg_attribute AS pa ON pa.attrelid = f.confrelid AND pa.attnum = u.confkey
    JOIN pg_catalog.pg_operator AS q ON q.oid = u.conpfeqop JOIN pg_catalog.pg_namespace AS qn ON qn.oid = q.oprnamespace
  ) AS k
  WHERE f.contype = 'f' AND f.conparentid = 0 AND pr.oid = ANY ($1::oid[])
  ORDER BY 2, f.conname`;

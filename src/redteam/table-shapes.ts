import type pg from 'pg';
import { quoteIdentifier } from '../engines/postgres/quote.ts';

/** A table as whoever fills it must know it. */
export interface Table {
  /** `schema.table`, unquoted. */
  readonly name: string;
  readonly schema: string;
  readonly quoted: string;
  readonly owner: string;
  readonly columns: readonly Column[];
  readonly foreignKeys: readonly ForeignKey[];
  readonly primaryKey: readonly string[];
}

export interface Column {
  readonly name: string;
  /** As SQL writes it. */
  readonly type: string;
  /** Of the type, or of what a domain or an array is made of; `pg_type.typname`. */
  readonly base: string;
  readonly array: boolean;
  readonly labels: readonly string[];
  /** Characters that fit in, `null` when any number does. */
  readonly maxLength: number | null;
  readonly notNull: boolean;
  readonly hasDefault: boolean;
  /** By the database alone: nobody may give it. */
  readonly generated: boolean;
  readonly unique: boolean;
  readonly checked: boolean;
  /** Definitions of the checks and partition bounds that may speak of it. */
  readonly checks: readonly string[];
}

export interface ForeignKey {
  readonly table: string;
  readonly quotedTable: string;
  readonly columns: readonly string[];
  readonly referred: readonly string[];
}

/** Every table of users that holds rows of its own; partitions are filled through what they are parts of. */
export async function readTables(client: pg.Client): Promise<readonly Table[]> {
  const { rows } = await client.query<TableRow>(TABLES);
  return rows.map(({ schema, name, owner, columns, foreign_keys, primary_key }) => ({
    name: `${schema}.${name}`,
    schema,
    quoted: `${quoteIdentifier(schema)}.${quoteIdentifier(name)}`,
    owner,
    columns: columns ?? [],
    primaryKey: primary_key ?? [],
    foreignKeys: (foreign_keys ?? []).map((key) => ({
      ...key,
      table: `${key.schema}.${key.name}`,
      quotedTable: `${quoteIdentifier(key.schema)}.${quoteIdentifier(key.name)}`,
    })),
  }));
}

interface TableRow {
  readonly schema: string;
  readonly name: string;
  readonly owner: string;
  readonly columns: readonly Column[] | null;
  readonly primary_key: readonly string[] | null;
  readonly foreign_keys:
    | readonly {
        readonly schema: string;
        readonly name: string;
        readonly columns: readonly string[];
        readonly referred: readonly string[];
      }[]
    | null;
}

const TABLES = `
  SELECT n.nspname AS schema, c.relname AS name, pg_get_userbyid(c.relowner) AS owner,
    (SELECT json_agg(json_build_object(
        'name', a.attname, 'type', format_type(a.atttypid, a.atttypmod), 'base', leaf.typname, 'array', base.typcategory = 'A',
        'labels', coalesce((SELECT json_agg(e.enumlabel ORDER BY e.enumsortorder) FROM pg_enum AS e WHERE e.enumtypid = leaf.oid), '[]'),
        'maxLength', CASE WHEN leaf.typname IN ('varchar', 'bpchar', 'bit', 'varbit') AND a.atttypmod > 0 THEN a.atttypmod - CASE WHEN leaf.typname LIKE '%char' THEN 4 ELSE 0 END END,
        'notNull', a.attnotnull OR t.typnotnull, 'hasDefault', a.atthasdef OR a.attidentity <> '' OR t.typdefault IS NOT NULL,
        'generated', a.attgenerated <> '' OR a.attidentity = 'a',
        'unique', EXISTS (SELECT FROM pg_index AS i WHERE i.indrelid = c.oid AND i.indisunique AND a.attnum = ANY (i.indkey)),
        'checked', coalesce(cardinality(checks.definitions), 0) > 0,
        'checks', coalesce(to_json(checks.definitions), '[]')) ORDER BY a.attnum)
     FROM pg_attribute AS a
     JOIN pg_type AS t ON t.oid = a.atttypid
     JOIN pg_type AS base ON base.oid = CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.oid END
     JOIN pg_type AS leaf ON leaf.oid = CASE WHEN base.typcategory = 'A' AND base.typelem <> 0 THEN base.typelem ELSE base.oid END
     CROSS JOIN LATERAL (
       SELECT array_agg(definition) AS definitions FROM (
         SELECT pg_get_constraintdef(k.oid) AS definition FROM pg_constraint AS k
         WHERE k.contype = 'c' AND (k.conrelid = c.oid AND a.attnum = ANY (k.conkey) OR k.contypid = t.oid)
         UNION ALL
         SELECT pg_get_expr(part.relpartbound, part.oid) FROM pg_inherits AS h JOIN pg_class AS part ON part.oid = h.inhrelid
         JOIN pg_partitioned_table AS p ON p.partrelid = h.inhparent
         WHERE h.inhparent = c.oid AND a.attnum = ANY (p.partattrs)) AS all_of_them) AS checks
     WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS columns,
    (SELECT json_agg(json_build_object('schema', fn.nspname, 'name', f.relname,
        'columns', (SELECT json_agg(a.attname ORDER BY k.place) FROM unnest(con.conkey) WITH ORDINALITY AS k (num, place) JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = k.num),
        'referred', (SELECT json_agg(a.attname ORDER BY k.place) FROM unnest(con.confkey) WITH ORDINALITY AS k (num, place) JOIN pg_attribute AS a ON a.attrelid = f.oid AND a.attnum = k.num)))
     FROM pg_constraint AS con JOIN pg_class AS f ON f.oid = con.confrelid JOIN pg_namespace AS fn ON fn.oid = f.relnamespace
     WHERE con.conrelid = c.oid AND con.contype = 'f') AS foreign_keys,
    (SELECT json_agg(a.attname ORDER BY k.place) FROM pg_constraint AS con, unnest(con.conkey) WITH ORDINALITY AS k (num, place)
     JOIN pg_attribute AS a ON a.attnum = k.num WHERE con.conrelid = c.oid AND con.contype = 'p' AND a.attrelid = c.oid) AS primary_key
  FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND n.nspname !~ '^(pg_|countersign_quarantine_)' AND n.nspname NOT IN ('information_schema', 'countersign')
    AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
  ORDER BY 1, 2`;

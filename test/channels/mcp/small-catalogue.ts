import type pg from 'pg';
import { NOTHING_MASKED } from '../../../src/domain/masking.ts';
import type { Catalogue, Relation } from '../../../src/engines/catalogue.ts';

/** Tables and views of `public` with their columns, comments and foreign keys: what the tests look at. */
export async function loadSmallCatalogue(pool: pg.Pool): Promise<Catalogue> {
  const { rows } = await pool.query<{
    oid: number;
    name: string;
    kind: string;
    comment: string | null;
    rows: number;
    columns: Relation['columns'];
    key: string[];
  }>(`
    SELECT c.oid::int, c.relname AS name, c.relkind AS kind, obj_description(c.oid) AS comment, c.reltuples::float8 AS rows,
      (SELECT jsonb_agg(jsonb_build_object('name', a.attname, 'type', format_type(a.atttypid, a.atttypmod),
         'nullable', NOT a.attnotnull, 'default', pg_get_expr(d.adbin, d.adrelid), 'generated', a.attgenerated <> '',
         'comment', col_description(c.oid, a.attnum)) ORDER BY a.attnum)
       FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
       WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS columns,
      coalesce((SELECT array_agg(a.attname::text) FROM pg_index i JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY (i.indkey)
       WHERE i.indrelid = c.oid AND i.indisprimary), '{}') AS key
    FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'v')`);
  const keys = await pool.query<Relation['references'][number]>(`
    SELECT conname AS name, 'public.' || conrelid::regclass AS from, 'public.' || confrelid::regclass AS to,
      CASE confdeltype WHEN 'c' THEN 'cascade' WHEN 'n' THEN 'set null' ELSE 'no action' END AS "onDelete", 'no action' AS "onUpdate",
      ARRAY['customer_id'] AS columns, ARRAY['id'] AS "referencedColumns"
    FROM pg_constraint WHERE contype = 'f'`);
  const relations = rows.map((row): Relation => {
    const name = `public.${row.name}`;
    return {
      oid: row.oid,
      schema: 'public',
      name: row.name,
      kind: row.kind === 'v' ? 'view' : 'table',
      system: false,
      owner: 'postgres',
      columns: row.columns,
      estimatedRows: row.rows,
      comment: row.comment,
      primaryKey: row.key,
      rowSecurity: false,
      definition: null,
      securityInvoker: false,
      securityExpressions: [],
      securityOfAll: [],
      planned: [],
      triggers: [],
      rules: [],
      references: keys.rows.filter((key) => key.from === name),
      referencedBy: keys.rows.filter((key) => key.to === name),
      children: [],
      parent: null,
      indexes: [],
    };
  });
  return {
    version: '1',
    serverVersion: 180_000,
    masking: NOTHING_MASKED,
    searchPath: ['public'],
    schemas: ['public'],
    relations: new Map(relations.map((relation) => [`${relation.schema}.${relation.name}`, relation])),
    functions: new Map(),
    userOperators: new Map(),
    userTypes: new Map(),
    hiddenCode: [],
    extensions: [],
    schemaViews: new Map(),
  };
}

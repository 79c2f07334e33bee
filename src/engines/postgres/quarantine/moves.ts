import type pg from 'pg';
import { quoteIdentifier, quoteLiteral } from '../quote.ts';
import type { Standing } from './inventory.ts';
import type { Move } from './move.ts';
import { policiesReadingOthers } from './reading-policies.ts';
import { withoutTaskGrants } from './task-grants.ts';

/** What has to happen to bring things out of reach, in this order; it is taken back in the opposite one. */
export interface Moves {
  readonly moves: readonly Move[];
  /** The schemas that hold it then. */
  readonly schemas: readonly string[];
  readonly bytes: number;
  /** Rows of tables whose keys are looked through anew when they are put back; the server's estimate. */
  readonly rowsToCheck: number;
}

/** What can't be moved, and why. */
export interface Immovable {
  readonly why: string;
}

/**
 * How what a DROP would take away is moved out of the way instead. Everything keeps its oid, and with that all that hangs
 * on it: rows, indexes, triggers, policies, grants, comments, and views among each other. Foreign keys between what goes
 * and what stays are dropped, because both sides would go on being checked.
 *
 * @param place the name of the first schema to move to.
 */
export async function planMoves(
  client: pg.Client,
  gone: readonly Standing[],
  place: string,
): Promise<Moves | Immovable> {
  const schemas = gone.filter(({ kind }) => kind === 'schema');
  const whole = new Set(schemas.map(({ oid }) => oid));
  const alone = gone.filter(({ kind, namespace }) => kind !== 'schema' && !whole.has(namespace));
  const [other] = alone.filter(({ kind }) => kind === 'other');
  if (other !== undefined) return { why: `${other.label} would go with it, which can't be kept` };

  const relations = await relationsOf(client, gone);
  const inherits = relations.find(({ inherits: parent }) => parent !== null);
  if (inherits !== undefined) return { why: `${inherits.label} inherits from ${inherits.inherits}, which stays` };
  const severed = relations.find(({ severed: table }) => table !== null);
  if (severed !== undefined) return { why: `${severed.label} belongs to ${severed.severed}, which stays` };

  // What reads a table that stays would keep it from being changed: a view is made again instead, the rest can't be.
  const readers = await readersOfOthers(client, gone);
  const reader = readers.find(({ isView }) => !isView);
  if (reader !== undefined)
    return { why: `${reader.label} reads ${reader.reads}, which stays and could not be changed any more` };
  const remade = new Set(readers.map(({ oid }) => oid));

  const foreignKeys = await keysAcross(client, relationOids(gone));
  const outer: string[] = [];
  const placeOf = (schema: string): string => {
    if (!outer.includes(schema)) outer.push(schema);
    return `${place}_${schemas.length + outer.indexOf(schema)}`;
  };
  const inWhole: Move[] = [];
  for (const [at, { oid }] of schemas.entries()) {
    const renamed = await schemaMove(client, oid, `${place}_${at}`);
    if ('why' in renamed) return renamed;
    inWhole.push(renamed);
  }
  const parts = await partsToMove(
    client,
    alone.filter(({ kind, oid }) => kind !== 'relation' || !remade.has(oid)),
    relations.filter(({ owned }) => owned),
  );
  const oneByOne = parts.map(({ alter, schema, name }): Move => {
    const at = placeOf(schema);
    return {
      out: [`ALTER ${alter} ${quoteIdentifier(schema)}.${name} SET SCHEMA ${quoteIdentifier(at)}`],
      back: [`ALTER ${alter} ${quoteIdentifier(at)}.${name} SET SCHEMA ${quoteIdentifier(schema)}`],
    };
  });
  return {
    moves: [
      ...(await withoutTaskGrants(
        client,
        relationOids(gone).filter((oid) => !remade.has(oid)),
      )),
      ...foreignKeys.map(({ drop, add }) => ({ out: [drop], back: add })),
      ...(await policiesReadingOthers(client, relationOids(gone))),
      ...relations.flatMap(({ attach, detach }) =>
        detach === null || attach === null ? [] : [{ out: [detach], back: [attach] }],
      ),
      ...outer.map((_, at): Move => {
        const name = quoteIdentifier(`${place}_${schemas.length + at}`);
        return { out: [`CREATE SCHEMA ${name}`], back: [`DROP SCHEMA ${name}`] };
      }),
      ...oneByOne,
      ...inWhole,
    ],
    schemas: [...schemas, ...outer].map((_, at) => `${place}_${at}`),
    bytes: relations.reduce((sum, { bytes }) => sum + Number(bytes), 0),
    rowsToCheck: foreignKeys.reduce((sum, { rows }) => sum + Math.max(0, Number(rows)), 0),
  };
}

export function relationOids(gone: readonly Standing[]): readonly string[] {
  return gone.filter(({ kind }) => kind === 'relation').map(({ oid }) => oid);
}

interface GoneRelation {
  readonly oid: string;
  readonly label: string;
  readonly bytes: string;
  /** Of a partition whose root stays. */
  readonly attach: string | null;
  readonly detach: string | null;
  /** A table that stays and that it inherits from. */
  readonly inherits: string | null;
  /** A sequence of a column goes where its table goes. */
  readonly owned: boolean;
  /** The table that stays and whose sequence it is. */
  readonly severed: string | null;
}

async function relationsOf(client: pg.Client, gone: readonly Standing[]): Promise<readonly GoneRelation[]> {
  const { rows } = await client.query<GoneRelation>(RELATIONS, [relationOids(gone)]);
  return rows;
}

const RELATIONS = `
  SELECT c.oid::text, n.nspname || '.' || c.relname AS label,
         CASE WHEN c.relkind IN ('r', 'm') THEN pg_catalog.pg_total_relation_size(c.oid) ELSE 0 END::text AS bytes,
         CASE WHEN c.relispartition AND NOT up.inhparent = ANY ($1::oid[]) THEN pg_catalog.format('ALTER TABLE %s DETACH PARTITION %I.%I', up.inhparent::pg_catalog.regclass, n.nspname, c.relname) END AS detach,
         CASE WHEN c.relispartition AND NOT up.inhparent = ANY ($1::oid[]) THEN pg_catalog.format('ALTER TABLE %s ATTACH PARTITION %I.%I %s', up.inhparent::pg_catalog.regclass, n.nspname, c.relname, pg_catalog.pg_get_expr(c.relpartbound, c.oid)) END AS attach,
         CASE WHEN NOT c.relispartition AND NOT up.inhparent = ANY ($1::oid[]) THEN up.inhparent::pg_catalog.regclass::text END AS inherits,
         d.refobjid IS NOT NULL AS owned,
         CASE WHEN NOT d.refobjid = ANY ($1::oid[]) THEN d.refobjid::pg_catalog.regclass::text END AS severed
  FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
  LEFT JOIN LATERAL (SELECT i.inhparent FROM pg_catalog.pg_inherits AS i WHERE i.inhrelid = c.oid ORDER BY i.inhparent = ANY ($1::oid[]) LIMIT 1) AS up ON true
  LEFT JOIN pg_catalog.pg_depend AS d ON c.relkind = 'S' AND d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid
    AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjsubid > 0 AND d.deptype IN ('a', 'i')
  WHERE c.oid = ANY ($1::oid[]) ORDER BY 2`;

interface Reader {
  readonly oid: string;
  readonly label: string;
  readonly reads: string;
  readonly isView: boolean;
}

/** Views, and by their rules tables, that depend on relations which stay; and views on such views. */
async function readersOfOthers(client: pg.Client, gone: readonly Standing[]): Promise<readonly Reader[]> {
  const { rows } = await client.query<Reader>(READERS, [relationOids(gone)]);
  return rows;
}

const READERS = `
  WITH RECURSIVE uses AS (
    SELECT r.ev_class AS oid, d.refobjid AS used FROM pg_catalog.pg_rewrite AS r
    JOIN pg_catalog.pg_depend AS d ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.objid = r.oid AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
    WHERE r.ev_class = ANY ($1::oid[]) AND d.refobjid <> r.ev_class
  ), reading AS (
    SELECT oid, used FROM uses WHERE NOT used = ANY ($1::oid[]) AND used >= 16384
    UNION
    SELECT u.oid, u.used FROM uses AS u JOIN reading AS r ON r.oid = u.used JOIN pg_catalog.pg_class AS c ON c.oid = u.used AND c.relkind = 'v'
  )
  SELECT DISTINCT ON (c.oid) c.oid::text, n.nspname || '.' || c.relname AS label, r.used::pg_catalog.regclass::text AS reads, c.relkind = 'v' AS "isView"
  FROM reading AS r JOIN pg_catalog.pg_class AS c ON c.oid = r.oid JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace ORDER BY c.oid`;

interface KeyAcross {
  readonly drop: string;
  readonly add: readonly string[];
  readonly rows: string;
}

/** Foreign keys between what goes and what stays; those that partitions have of their root's come and go with these. */
export async function keysAcross(client: pg.Client, oids: readonly string[]): Promise<readonly KeyAcross[]> {
  const { rows } = await client.query<{
    table: string;
    name: string;
    definition: string;
    comment: string | null;
    rows: string;
  }>(KEYS_ACROSS, [oids]);
  return rows.map(({ table, name, definition, comment, rows: count }) => ({
    drop: `ALTER TABLE ${table} DROP CONSTRAINT ${quoteIdentifier(name)}`,
    add: [
      `ALTER TABLE ${table} ADD CONSTRAINT ${quoteIdentifier(name)} ${definition}`,
      ...(comment === null
        ? []
        : [`COMMENT ON CONSTRAINT ${quoteIdentifier(name)} ON ${table} IS ${quoteLiteral(comment)}`]),
    ],
    rows: count,
  }));
}

const KEYS_ACROSS = `
  SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) AS table, k.conname AS name, pg_catalog.pg_get_constraintdef(k.oid) AS definition,
         pg_catalog.obj_description(k.oid, 'pg_constraint') AS comment, c.reltuples::bigint::text AS rows
  FROM pg_catalog.pg_constraint AS k JOIN pg_catalog.pg_class AS c ON c.oid = k.conrelid JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
  WHERE k.contype = 'f' AND k.conparentid = 0 AND (k.conrelid = ANY ($1::oid[])) <> (k.confrelid = ANY ($1::oid[]))
  ORDER BY 1, 2`;

/** A schema that goes as a whole is renamed, so that whatever is in it stays as it is; only who may use it has to be remembered. */
async function schemaMove(client: pg.Client, oid: string, place: string): Promise<Move | Immovable> {
  const { rows } = await client.query<{ name: string; owner: string }>(
    `SELECT nspname AS name, pg_catalog.pg_get_userbyid(nspowner) AS owner
     FROM pg_catalog.pg_namespace WHERE oid = $1`,
    [oid],
  );
  const [schema] = rows;
  if (schema === undefined) return { why: 'a schema was dropped meanwhile' };
  const { rows: grants } = await client.query<{
    grantee: string;
    right: string;
    passes: boolean;
    byOwner: boolean;
    task: boolean;
  }>(SCHEMA_GRANTS, [oid]);
  if (grants.some(({ byOwner, task }) => !byOwner && !task))
    return { why: `rights on the schema ${schema.name} were given by others than its owner` };
  const own = grants.filter(({ byOwner }) => byOwner);
  const [name, at, owner] = [schema.name, place, schema.owner].map(quoteIdentifier);
  return {
    out: [
      ...[...new Set(own.map(({ grantee }) => grantee))].map(
        (grantee) => `REVOKE ALL ON SCHEMA ${name} FROM ${grantee} CASCADE`,
      ),
      `ALTER SCHEMA ${name} RENAME TO ${at}`,
      `ALTER SCHEMA ${at} OWNER TO CURRENT_USER`,
    ],
    back: [
      `ALTER SCHEMA ${at} OWNER TO ${owner}`,
      `ALTER SCHEMA ${at} RENAME TO ${name}`,
      ...own.map(
        ({ grantee, right, passes }) =>
          `GRANT ${right} ON SCHEMA ${name} TO ${grantee}${passes ? ' WITH GRANT OPTION' : ''}`,
      ),
    ],
  };
}

/** In the order in which they stand. Logins of tasks get theirs again when they are next used. */
const SCHEMA_GRANTS = `
  SELECT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(a.grantee)) END AS grantee, a.privilege_type AS right,
         a.is_grantable AS passes, a.grantor = n.nspowner AS "byOwner", a.grantee <> 0 AND pg_catalog.pg_get_userbyid(a.grantee) ~ '^cs_[0-9a-f]{16}_[rw]$' AS task
  FROM pg_catalog.pg_namespace AS n, pg_catalog.aclexplode(n.nspacl) WITH ORDINALITY AS a (grantor, grantee, privilege_type, is_grantable, place)
  WHERE n.oid = $1 AND a.grantee <> n.nspowner ORDER BY a.place`;

interface Part {
  /** What stands after ALTER. */
  readonly alter: string;
  readonly schema: string;
  /** Quoted, with arguments where it has any. */
  readonly name: string;
}

async function partsToMove(
  client: pg.Client,
  alone: readonly Standing[],
  owned: readonly GoneRelation[],
): Promise<readonly Part[]> {
  const follows = new Set(owned.map(({ oid }) => oid));
  const of = (kind: Standing['kind']) =>
    alone.filter((one) => one.kind === kind && !follows.has(one.oid)).map(({ oid }) => oid);
  const { rows } = await client.query<Part>(PARTS, [of('relation'), of('type'), of('routine'), of('statistics')]);
  return rows;
}

const PARTS = `
  SELECT CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'S' THEN 'SEQUENCE' WHEN 'f' THEN 'FOREIGN TABLE' WHEN 'c' THEN 'TYPE' ELSE 'TABLE' END AS alter,
         n.nspname AS schema, pg_catalog.quote_ident(c.relname) AS name
  FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace WHERE c.oid = ANY ($1::oid[])
  UNION ALL
  SELECT CASE t.typtype WHEN 'd' THEN 'DOMAIN' ELSE 'TYPE' END, n.nspname, pg_catalog.quote_ident(t.typname)
  FROM pg_catalog.pg_type AS t JOIN pg_catalog.pg_namespace AS n ON n.oid = t.typnamespace WHERE t.oid = ANY ($2::oid[])
  UNION ALL
  SELECT 'ROUTINE', n.nspname, pg_catalog.quote_ident(p.proname) || '(' || pg_catalog.pg_get_function_identity_arguments(p.oid) || ')'
  FROM pg_catalog.pg_proc AS p JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace WHERE p.oid = ANY ($3::oid[])
  UNION ALL
  SELECT 'STATISTICS', n.nspname, pg_catalog.quote_ident(s.stxname)
  FROM pg_catalog.pg_statistic_ext AS s JOIN pg_catalog.pg_namespace AS n ON n.oid = s.stxnamespace WHERE s.oid = ANY ($4::oid[])
  ORDER BY 2, 1, 3`;

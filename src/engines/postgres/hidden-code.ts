import type { Catalogue, HiddenCode, UserOperator, UserType } from '../catalogue.ts';

/** The first oid that is not given out at initdb (PostgreSQL, "System Catalog Initial Data"). */
export const FIRST_USER_OID = 16384;

export const EXTENSION_OF = (catalogue: string, oid: string) =>
  `(SELECT e.extname FROM pg_catalog.pg_depend AS d JOIN pg_catalog.pg_extension AS e ON e.oid = d.refobjid WHERE d.classid = 'pg_catalog.${catalogue}'::pg_catalog.regclass AND d.objid = ${oid} AND d.deptype = 'e' LIMIT 1)`;

/** A function by `schema.name(type, type)`. */
export const SIGNATURE = (oid: string) =>
  `(SELECT sn.nspname || '.' || sp.proname || '(' || pg_catalog.oidvectortypes(sp.proargtypes) || ')' FROM pg_catalog.pg_proc AS sp JOIN pg_catalog.pg_namespace AS sn ON sn.oid = sp.pronamespace WHERE sp.oid = ${oid})`;

const SIGNATURES = (oids: string) =>
  `(SELECT coalesce(pg_catalog.jsonb_agg(DISTINCT ${SIGNATURE('f.oid')}), '[]'::jsonb) FROM (${oids}) AS f (oid) WHERE f.oid <> 0)`;

/** What a family of operators runs when values are compared, sorted or hashed by it. */
const FAMILY_RUNS = (family: string) => `
  SELECT ap.amproc::oid FROM pg_catalog.pg_amproc AS ap WHERE ap.amprocfamily = ${family}
  UNION ALL SELECT ao.oprcode::oid FROM pg_catalog.pg_amop AS am JOIN pg_catalog.pg_operator AS ao ON ao.oid = am.amopopr WHERE am.amopfamily = ${family}`;

/**
 * Users' functions that are run when a relation is planned or scanned. An index, a check, a statistic and a partition key
 * record what they are made of as dependencies; the planner evaluates what is constant in them, and an index compares by
 * the functions of its operator class.
 */
const PLANNED = `
  WITH part (relation, classid, objid) AS (
    SELECT indrelid, 'pg_catalog.pg_class'::pg_catalog.regclass::oid, indexrelid FROM pg_catalog.pg_index
    UNION ALL SELECT conrelid, 'pg_catalog.pg_constraint'::pg_catalog.regclass, oid FROM pg_catalog.pg_constraint WHERE contype = 'c' AND conrelid <> 0
    UNION ALL SELECT stxrelid, 'pg_catalog.pg_statistic_ext'::pg_catalog.regclass, oid FROM pg_catalog.pg_statistic_ext
    UNION ALL SELECT partrelid, 'pg_catalog.pg_class'::pg_catalog.regclass, partrelid FROM pg_catalog.pg_partitioned_table
  ), dependence (relation, refclassid, refobjid) AS (
    SELECT relation, refclassid, refobjid FROM part JOIN pg_catalog.pg_depend USING (classid, objid)
    WHERE relation >= ${FIRST_USER_OID} AND refclassid IN ('pg_catalog.pg_proc'::pg_catalog.regclass, 'pg_catalog.pg_operator'::pg_catalog.regclass)
  ), class (relation, oid) AS (
    SELECT indrelid, unnest(indclass::oid[]) FROM pg_catalog.pg_index
    UNION ALL SELECT partrelid, unnest(partclass::oid[]) FROM pg_catalog.pg_partitioned_table
  ), family (relation, oid) AS (
    SELECT DISTINCT class.relation, oc.opcfamily FROM class JOIN pg_catalog.pg_opclass AS oc USING (oid) WHERE class.relation >= ${FIRST_USER_OID}
  ), found (relation, oid) AS (
    SELECT relation, refobjid FROM dependence WHERE refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass
    UNION SELECT relation, x.oid FROM dependence JOIN pg_catalog.pg_operator AS o ON o.oid = refobjid
      LEFT JOIN pg_catalog.pg_operator AS n ON n.oid = o.oprnegate, LATERAL (VALUES (o.oprcode::oid), (n.oprcode::oid)) AS x (oid)
      WHERE refclassid = 'pg_catalog.pg_operator'::pg_catalog.regclass
    UNION SELECT family.relation, ap.amproc FROM family JOIN pg_catalog.pg_amproc AS ap ON ap.amprocfamily = family.oid
    UNION SELECT family.relation, o.oprcode FROM family JOIN pg_catalog.pg_amop AS am ON am.amopfamily = family.oid JOIN pg_catalog.pg_operator AS o ON o.oid = am.amopopr
  )
  SELECT n.nspname || '.' || c.relname AS name, pg_catalog.jsonb_agg(${SIGNATURE('found.oid')}) AS functions
  FROM found JOIN pg_catalog.pg_class AS c ON c.oid = found.relation JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
  WHERE found.oid >= ${FIRST_USER_OID} GROUP BY 1`;

/** Signatures of users' functions that planning or scanning a relation may run, by `schema.name`. */
export async function loadPlanned(ask: Ask): Promise<ReadonlyMap<string, readonly string[]>> {
  return new Map((await ask(PLANNED)).map((row) => [String(row['name']), row['functions'] as readonly string[]]));
}

/** A type as the catalogue names it: users' types with their schema, the server's own as `pg_type` does. */
const TYPE_NAME = (oid: string) =>
  `(SELECT CASE WHEN tt.oid >= ${FIRST_USER_OID} THEN tn.nspname || '.' || tt.typname ELSE tt.typname END FROM pg_catalog.pg_type AS tt JOIN pg_catalog.pg_namespace AS tn ON tn.oid = tt.typnamespace WHERE tt.oid = ${oid})`;

const CAST = `pg_catalog.jsonb_build_object(
  'what', 'the cast from ' || pg_catalog.format_type(ca.castsource, NULL) || ' to ' || pg_catalog.format_type(ca.casttarget, NULL),
  'functions', pg_catalog.jsonb_build_array(${SIGNATURE('ca.castfunc')}),
  -- What makes JSON of a value looks for a cast to it by itself.
  'castTo', CASE WHEN ca.castcontext = 'e' AND ca.casttarget NOT IN ('pg_catalog.json'::pg_catalog.regtype, 'pg_catalog.jsonb'::pg_catalog.regtype) THEN ${TYPE_NAME('ca.casttarget')} END)`;

const ORDER = `pg_catalog.jsonb_build_object(
  'what', 'the order of ' || pg_catalog.format_type(oc.opcintype, NULL), 'functions', ${SIGNATURES(FAMILY_RUNS('oc.opcfamily'))}, 'castTo', NULL)`;

const IS_ARRAY = "(t.typelem <> 0 AND t.typsubscript = 'pg_catalog.array_subscript_handler'::pg_catalog.regproc)";

const TYPE_CODE = `
  SELECT ${CAST} FROM pg_catalog.pg_cast AS ca WHERE ca.castfunc <> 0 AND t.oid IN (ca.castsource, ca.casttarget)
  UNION ALL SELECT ${ORDER} FROM pg_catalog.pg_opclass AS oc JOIN pg_catalog.pg_am AS m ON m.oid = oc.opcmethod
    WHERE oc.opcintype = t.oid AND oc.opcdefault AND m.amname IN ('btree', 'hash')
  UNION ALL SELECT pg_catalog.jsonb_build_object('what', 'the bounds of ' || pg_catalog.format_type(t.oid, NULL), 'castTo', NULL,
      'functions', ${SIGNATURES(`SELECT r.rngcanonical::oid UNION ALL SELECT r.rngsubdiff::oid UNION ALL ${FAMILY_RUNS('rc.opcfamily')}`)})
    FROM pg_catalog.pg_range AS r JOIN pg_catalog.pg_opclass AS rc ON rc.oid = r.rngsubopc WHERE t.oid IN (r.rngtypid, r.rngmultitypid)
  UNION ALL SELECT pg_catalog.jsonb_build_object('what', 'how ' || pg_catalog.format_type(t.oid, NULL) || ' is read and written', 'castTo', NULL,
      'functions', ${SIGNATURES('VALUES (t.typinput::oid), (t.typoutput::oid), (t.typreceive::oid), (t.typsend::oid), (t.typmodin::oid), (t.typmodout::oid), (t.typsubscript::oid)')})
    WHERE t.typtype = 'b' AND NOT ${IS_ARRAY}`;

const TYPE_PARTS = `
  SELECT t.typelem WHERE ${IS_ARRAY}
  UNION ALL SELECT t.typbasetype WHERE t.typtype = 'd'
  UNION ALL SELECT a.atttypid FROM pg_catalog.pg_attribute AS a WHERE a.attrelid = t.typrelid AND t.typtype = 'c' AND a.attnum > 0 AND NOT a.attisdropped
  UNION ALL SELECT r.rngsubtype FROM pg_catalog.pg_range AS r WHERE t.oid IN (r.rngtypid, r.rngmultitypid)`;

const TYPES = `
  SELECT n.nspname || '.' || t.typname AS name, pg_catalog.jsonb_build_object(
    'kind', CASE t.typtype WHEN 'c' THEN 'composite' WHEN 'd' THEN 'domain' WHEN 'e' THEN 'enum' WHEN 'r' THEN 'range' WHEN 'm' THEN 'multirange' WHEN 'p' THEN 'pseudo' ELSE 'base' END,
    'extension', ${EXTENSION_OF('pg_type', 't.oid')},
    'parts', coalesce((SELECT pg_catalog.jsonb_agg(DISTINCT ${TYPE_NAME('p.oid')}) FROM (${TYPE_PARTS}) AS p (oid)), '[]'::jsonb),
    'code', coalesce((SELECT pg_catalog.jsonb_agg(x.code) FROM (${TYPE_CODE}) AS x (code)), '[]'::jsonb),
    'checks', coalesce((SELECT pg_catalog.jsonb_agg(pg_catalog.pg_get_expr(k.conbin, 0)) FROM pg_catalog.pg_constraint AS k WHERE k.contypid = t.oid AND k.contype = 'c'), '[]'::jsonb)) AS type
  FROM pg_catalog.pg_type AS t JOIN pg_catalog.pg_namespace AS n ON n.oid = t.typnamespace
  WHERE t.oid >= ${FIRST_USER_OID} AND n.nspname <> 'pg_toast'`;

/** What users have added to types of the server itself. */
const EVERYWHERE = `
  SELECT ${CAST} AS code FROM pg_catalog.pg_cast AS ca
  WHERE ca.oid >= ${FIRST_USER_OID} AND ca.castfunc <> 0 AND ca.castsource < ${FIRST_USER_OID} AND ca.casttarget < ${FIRST_USER_OID}
  UNION ALL SELECT ${ORDER} FROM pg_catalog.pg_opclass AS oc JOIN pg_catalog.pg_am AS m ON m.oid = oc.opcmethod
  WHERE oc.oid >= ${FIRST_USER_OID} AND oc.opcintype < ${FIRST_USER_OID} AND oc.opcdefault AND m.amname IN ('btree', 'hash')
  UNION ALL SELECT pg_catalog.jsonb_build_object('what', 'an addition to the order of ' || pg_catalog.format_type(ap.amproclefttype, NULL), 'functions', pg_catalog.jsonb_build_array(${SIGNATURE('ap.amproc')}), 'castTo', NULL)
  FROM pg_catalog.pg_amproc AS ap WHERE ap.oid >= ${FIRST_USER_OID} AND ap.amprocfamily < ${FIRST_USER_OID} AND ap.amproc >= ${FIRST_USER_OID}`;

const OPERATORS = `
  SELECT o.oprname AS name, pg_catalog.jsonb_build_object('schema', n.nspname,
    'signature', n.nspname || '.' || o.oprname || '(' || pg_catalog.concat_ws(', ', CASE WHEN o.oprleft <> 0 THEN pg_catalog.format_type(o.oprleft, NULL) END, pg_catalog.format_type(o.oprright, NULL)) || ')',
    'functions', ${SIGNATURES('SELECT o.oprcode::oid UNION ALL SELECT x.oprcode::oid FROM pg_catalog.pg_operator AS x WHERE x.oid IN (o.oprnegate, o.oprcom)')}) AS operator
  FROM pg_catalog.pg_operator AS o JOIN pg_catalog.pg_namespace AS n ON n.oid = o.oprnamespace
  WHERE o.oid >= ${FIRST_USER_OID}`;

/** Runs SQL and returns rows by column name. */
type Ask = (sql: string) => Promise<readonly Record<string, unknown>[]>;

/** Code of users that a statement may run without naming a function: behind operators, types and casts. */
export async function loadHiddenCode(ask: Ask): Promise<Pick<Catalogue, 'userOperators' | 'userTypes' | 'hiddenCode'>> {
  const userOperators = new Map<string, UserOperator[]>();
  for (const row of await ask(OPERATORS)) {
    const symbol = String(row['name']);
    userOperators.set(symbol, [...(userOperators.get(symbol) ?? []), row['operator'] as UserOperator]);
  }
  return {
    userOperators,
    userTypes: new Map((await ask(TYPES)).map((row) => [String(row['name']), row['type'] as UserType])),
    hiddenCode: (await ask(EVERYWHERE)).map((row) => row['code'] as HiddenCode),
  };
}

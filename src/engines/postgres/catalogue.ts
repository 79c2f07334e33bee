import { MASK_SCHEMA, NOTHING_MASKED } from '../../domain/masking.ts';
import { QUARANTINE_PREFIX } from '../../domain/quarantine.ts';
import { schemasOf } from '../../domain/search-path.ts';
import type { Catalogue, Column, ForeignKey, Relation, Routine, Trigger } from '../catalogue.ts';
import { EXTENSION_OF, FIRST_USER_OID, loadHiddenCode, loadPlanned, SIGNATURE } from './hidden-code.ts';
import { loadSchemaViews } from './schema-views.ts';

/** Runs SQL and returns rows by column name. */
export type AskCatalogue = (sql: string) => Promise<readonly Record<string, unknown>[]>;

/** A version of the catalogue, and the moment of the server at which it was that. */
export interface SeenCatalogue {
  readonly version: string;
  /** `null` where the server can't tell whether it is still the same moment. */
  readonly moment: string | null;
}

/**
 * Its version changes whenever anything does that the analyser depends on. Some 20 ms on a small database, and nothing where no
 * transaction has ended on the server since it was seen.
 */
export async function seeCatalogue(ask: AskCatalogue, seen?: SeenCatalogue): Promise<SeenCatalogue> {
  if (seen !== undefined && seen.moment !== null) {
    const [now] = await ask(`SELECT ${MOMENT} AS moment`);
    if (now?.['moment'] === seen.moment) return seen;
  }
  const [row] = await ask(VERSION);
  const moment = row?.['moment'];
  return { version: String(row?.['version']), moment: typeof moment === 'string' ? moment : null };
}

/**
 * Whatever is to change a catalogue ends a transaction that has an id, and with it what a snapshot sees (PostgreSQL, "Transaction
 * ID and Snapshot Information Functions"). A standby doesn't list what is in progress, and another connection may lead elsewhere.
 */
const MOMENT = `
  CASE WHEN NOT pg_catalog.pg_is_in_recovery()
  THEN pg_catalog.pg_current_snapshot()::text || ' ' || pg_catalog.pg_backend_pid() || ' ' || pg_catalog.pg_postmaster_start_time() END`;

const WATCHED = [
  'pg_class',
  'pg_attribute',
  'pg_proc',
  'pg_operator',
  'pg_cast',
  'pg_type',
  'pg_rewrite',
  'pg_trigger',
  'pg_constraint',
  'pg_policy',
  'pg_namespace',
  'pg_inherits',
  'pg_attrdef',
  'pg_index',
  'pg_extension',
  'pg_aggregate',
  'pg_opclass',
  'pg_amop',
  'pg_amproc',
  'pg_range',
  'pg_statistic_ext',
  'pg_partitioned_table',
];

/** What the database, or else the whole server, sets for logins that have no setting of their own. */
const DEFAULT_SEARCH_PATH = `
  coalesce(
    (SELECT pg_catalog.substr(setting, 13)
     FROM pg_catalog.pg_db_role_setting AS s, pg_catalog.unnest(s.setconfig) AS setting
     WHERE s.setrole = 0 AND s.setdatabase IN (0, (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()))
       AND setting LIKE 'search_path=%'
     ORDER BY s.setdatabase DESC LIMIT 1),
    (SELECT boot_val FROM pg_catalog.pg_settings WHERE name = 'search_path'))`;

/** The path on which names of a session are looked for until it says otherwise; logins of tasks are pinned to it. */
export async function defaultSearchPath(ask: AskCatalogue): Promise<string> {
  const [row] = await ask(`SELECT ${DEFAULT_SEARCH_PATH} AS path`);
  return text(row?.['path']);
}

/** Rows are only ever added, removed, or replaced under a new transaction id: count and sum notice all three. */
const VERSION = `
  SELECT pg_catalog.md5(pg_catalog.string_agg(t.n || ':' || t.x, ',' ORDER BY t.name) || (${DEFAULT_SEARCH_PATH})) AS version, ${MOMENT} AS moment FROM (
    ${WATCHED.map((name) => `SELECT '${name}' AS name, count(*)::text AS n, coalesce(sum(xmin::text::bigint), 0)::text AS x FROM pg_catalog.${name}`).join('\n    UNION ALL ')}
  ) AS t`;

/** Loads all that the analyser must know. Works for any login: the catalogues are readable by all. */
export async function loadCatalogue(ask: AskCatalogue): Promise<Catalogue> {
  const { version } = await seeCatalogue(ask);
  const [server] = await ask("SELECT pg_catalog.current_setting('server_version_num') AS version");
  const schemas = (await ask(SCHEMAS)).map((row) => text(row['name']));
  const extensions = (await ask(EXTENSIONS)).map((row) => text(row['name']));
  const relations = await loadRelations(ask);
  const schemaViews = await loadSchemaViews(ask);
  const functions = new Map<string, Routine[]>();
  for (const row of await ask(ROUTINES)) {
    const routine = row['routine'] as Routine;
    const overloads = functions.get(routine.name);
    if (overloads === undefined) functions.set(routine.name, [routine]);
    else overloads.push(routine);
  }
  return {
    version,
    serverVersion: Number(server?.['version']),
    searchPath: schemasOf(await defaultSearchPath(ask)),
    schemas,
    extensions,
    masking: NOTHING_MASKED,
    relations,
    schemaViews,
    functions,
    ...(await loadHiddenCode(ask)),
  };
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : String(value);
}

async function loadRelations(ask: AskCatalogue): Promise<ReadonlyMap<string, Relation>> {
  const keys = (await ask(FOREIGN_KEYS)).map((row) => row['key'] as ForeignKey);
  const planned = await loadPlanned(ask);
  const relations = new Map<string, Relation>();
  for (const row of await ask(RELATIONS)) {
    const found = row['relation'] as Omit<
      Relation,
      'references' | 'referencedBy' | 'columns' | 'triggers' | 'planned'
    > & {
      readonly columns: readonly Column[] | null;
      readonly triggers: readonly Trigger[] | null;
    };
    const name = `${found.schema}.${found.name}`;
    relations.set(name, {
      ...found,
      columns: found.columns ?? [],
      triggers: found.triggers ?? [],
      planned: planned.get(name) ?? [],
      references: keys.filter((key) => key.from === name),
      referencedBy: keys.filter((key) => key.to === name),
    });
  }
  return relations;
}

const SCHEMAS = 'SELECT nspname AS name FROM pg_catalog.pg_namespace ORDER BY 1';

const EXTENSIONS = 'SELECT extname AS name FROM pg_catalog.pg_extension ORDER BY 1';

/** The server's own. Who puts something into its schemas later is a user like any other. */
const SYSTEM = `(n.nspname IN ('pg_catalog', 'information_schema', 'pg_toast') AND c.oid < ${FIRST_USER_OID})`;

const RELATIONS = `
  SELECT pg_catalog.jsonb_build_object(
    'oid', c.oid::bigint, 'schema', n.nspname, 'name', c.relname,
    'kind', CASE c.relkind WHEN 'r' THEN 'table' WHEN 'p' THEN 'partitioned table' WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view'
                           WHEN 'f' THEN 'foreign table' WHEN 'S' THEN 'sequence' WHEN 'i' THEN 'index' WHEN 'I' THEN 'index' ELSE 'composite type' END,
    'system', ${SYSTEM}, 'owner', pg_catalog.pg_get_userbyid(c.relowner), 'estimatedRows', greatest(c.reltuples, 0)::bigint,
    'comment', pg_catalog.obj_description(c.oid, 'pg_class'), 'rowSecurity', c.relrowsecurity,
    'definition', CASE WHEN c.relkind IN ('v', 'm') AND NOT ${SYSTEM} THEN pg_catalog.pg_get_viewdef(c.oid) END,
    'columns', CASE WHEN c.relkind <> 'i' AND c.relkind <> 'I' THEN (
      SELECT pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object('name', a.attname, 'type', pg_catalog.format_type(a.atttypid, a.atttypmod), 'nullable', NOT a.attnotnull,
               'default', pg_catalog.pg_get_expr(d.adbin, d.adrelid), 'generated', a.attgenerated <> '', 'comment', pg_catalog.col_description(c.oid, a.attnum)) ORDER BY a.attnum)
      FROM pg_catalog.pg_attribute AS a LEFT JOIN pg_catalog.pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
      WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) END,
    'primaryKey', coalesce((SELECT pg_catalog.jsonb_agg(a.attname ORDER BY k.n) FROM pg_catalog.pg_index AS i, pg_catalog.unnest(i.indkey::int2[]) WITH ORDINALITY AS k (attnum, n)
                   JOIN pg_catalog.pg_attribute AS a ON a.attnum = k.attnum WHERE i.indrelid = c.oid AND i.indisprimary AND a.attrelid = c.oid), '[]'::jsonb),
    'securityExpressions', coalesce((SELECT pg_catalog.jsonb_agg(e) FROM pg_catalog.pg_policy AS p, LATERAL (VALUES (pg_catalog.pg_get_expr(p.polqual, p.polrelid)), (pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid))) AS v (e) WHERE p.polrelid = c.oid AND e IS NOT NULL), '[]'::jsonb),
    'securityOfAll', coalesce((SELECT pg_catalog.jsonb_agg(pg_catalog.pg_get_expr(p.polqual, p.polrelid)) FROM pg_catalog.pg_policy AS p WHERE p.polrelid = c.oid AND p.polqual IS NOT NULL AND 0 = ANY (p.polroles)), '[]'::jsonb),
    'securityInvoker', c.relkind = 'v' AND coalesce((SELECT option_value::boolean FROM pg_catalog.pg_options_to_table(c.reloptions) WHERE option_name = 'security_invoker'), false),
    'triggers', (SELECT pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object('name', t.tgname, 'function', fn.nspname || '.' || f.proname, 'language', l.lanname, 'enabled', t.tgenabled <> 'D', 'source', f.prosrc,
                   'events', pg_catalog.to_jsonb(pg_catalog.array_remove(ARRAY[CASE WHEN t.tgtype & 4 <> 0 THEN 'insert' END, CASE WHEN t.tgtype & 16 <> 0 THEN 'update' END, CASE WHEN t.tgtype & 8 <> 0 THEN 'delete' END, CASE WHEN t.tgtype & 32 <> 0 THEN 'truncate' END], NULL))) ORDER BY t.tgname)
                 FROM pg_catalog.pg_trigger AS t JOIN pg_catalog.pg_proc AS f ON f.oid = t.tgfoid JOIN pg_catalog.pg_namespace AS fn ON fn.oid = f.pronamespace JOIN pg_catalog.pg_language AS l ON l.oid = f.prolang
                 WHERE t.tgrelid = c.oid AND NOT t.tgisinternal AND fn.nspname <> 'countersign'),
    'rules', coalesce((SELECT pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object('name', r.rulename, 'definition', pg_catalog.pg_get_ruledef(r.oid))) FROM pg_catalog.pg_rewrite AS r WHERE r.ev_class = c.oid AND r.rulename <> '_RETURN' AND NOT ${SYSTEM}), '[]'::jsonb),
    'children', coalesce((SELECT pg_catalog.jsonb_agg(cn.nspname || '.' || cc.relname ORDER BY 1) FROM pg_catalog.pg_inherits AS i JOIN pg_catalog.pg_class AS cc ON cc.oid = i.inhrelid JOIN pg_catalog.pg_namespace AS cn ON cn.oid = cc.relnamespace WHERE i.inhparent = c.oid), '[]'::jsonb),
    'parent', (SELECT pn.nspname || '.' || pc.relname FROM pg_catalog.pg_inherits AS i JOIN pg_catalog.pg_class AS pc ON pc.oid = i.inhparent JOIN pg_catalog.pg_namespace AS pn ON pn.oid = pc.relnamespace WHERE i.inhrelid = c.oid LIMIT 1),
    'indexes', coalesce((SELECT pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object('name', ic.relname, 'definition', pg_catalog.pg_get_indexdef(i.indexrelid)) ORDER BY ic.relname) FROM pg_catalog.pg_index AS i JOIN pg_catalog.pg_class AS ic ON ic.oid = i.indexrelid WHERE i.indrelid = c.oid AND NOT ${SYSTEM}), '[]'::jsonb)
  ) AS relation
  FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
  WHERE n.nspname !~ '^(pg_(toast|temp)|${QUARANTINE_PREFIX})' AND n.nspname <> '${MASK_SCHEMA}' AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S', 'c', 'i', 'I')
  ORDER BY n.nspname, c.relname`;

const ACTION = (column: string) =>
  `CASE k.${column} WHEN 'c' THEN 'cascade' WHEN 'n' THEN 'set null' WHEN 'd' THEN 'set default' WHEN 'r' THEN 'restrict' ELSE 'no action' END`;

const NAMES_OF = (table: string, columns: string) =>
  `(SELECT pg_catalog.jsonb_agg(a.attname ORDER BY x.n) FROM pg_catalog.unnest(k.${columns}) WITH ORDINALITY AS x (attnum, n) JOIN pg_catalog.pg_attribute AS a ON a.attrelid = k.${table} AND a.attnum = x.attnum)`;

const FOREIGN_KEYS = `
  SELECT pg_catalog.jsonb_build_object('name', k.conname, 'from', fn.nspname || '.' || fc.relname, 'to', tn.nspname || '.' || tc.relname,
    'onDelete', ${ACTION('confdeltype')}, 'onUpdate', ${ACTION('confupdtype')},
    'columns', ${NAMES_OF('conrelid', 'conkey')}, 'referencedColumns', ${NAMES_OF('confrelid', 'confkey')}) AS key
  FROM pg_catalog.pg_constraint AS k
  JOIN pg_catalog.pg_class AS fc ON fc.oid = k.conrelid JOIN pg_catalog.pg_namespace AS fn ON fn.oid = fc.relnamespace
  JOIN pg_catalog.pg_class AS tc ON tc.oid = k.confrelid JOIN pg_catalog.pg_namespace AS tn ON tn.oid = tc.relnamespace
  WHERE k.contype = 'f'`;

const AGGREGATE_RUNS = `(SELECT coalesce(pg_catalog.jsonb_agg(DISTINCT ${SIGNATURE('f.oid')}), '[]'::jsonb)
      FROM pg_catalog.pg_aggregate AS g, LATERAL (VALUES (g.aggtransfn), (g.aggfinalfn), (g.aggcombinefn), (g.aggserialfn), (g.aggdeserialfn), (g.aggmtransfn), (g.aggminvtransfn), (g.aggmfinalfn)) AS f (oid)
      WHERE g.aggfnoid = p.oid AND f.oid <> 0)`;

const ROUTINES = `
  SELECT pg_catalog.jsonb_build_object('schema', n.nspname, 'name', p.proname,
    'kind', CASE p.prokind WHEN 'p' THEN 'procedure' WHEN 'a' THEN 'aggregate' WHEN 'w' THEN 'window' ELSE 'function' END,
    'volatility', CASE p.provolatile WHEN 'i' THEN 'immutable' WHEN 's' THEN 'stable' ELSE 'volatile' END,
    'language', l.lanname, 'securityDefiner', p.prosecdef, 'builtIn', p.oid < ${FIRST_USER_OID} AND n.nspname IN ('pg_catalog', 'information_schema'),
    'extension', CASE WHEN p.oid >= ${FIRST_USER_OID} THEN ${EXTENSION_OF('pg_proc', 'p.oid')} END,
    'signature', ${SIGNATURE('p.oid')}, 'runs', CASE WHEN p.prokind = 'a' THEN ${AGGREGATE_RUNS} ELSE '[]'::jsonb END,
    'definition', CASE WHEN p.oid >= ${FIRST_USER_OID} AND p.prokind <> 'a' THEN
      pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(pg_catalog.pg_get_userbyid(p.proowner) || E'\\n' || pg_catalog.pg_get_functiondef(p.oid), 'UTF8')), 'hex') END,
    'argumentTypes', '[]'::jsonb, 'returnType', pg_catalog.format_type(p.prorettype, NULL),
    'onlyArgumentComposite', CASE WHEN p.oid >= ${FIRST_USER_OID} AND p.pronargs >= 1 THEN (SELECT tn.nspname || '.' || t.typname FROM pg_catalog.pg_type AS t JOIN pg_catalog.pg_namespace AS tn ON tn.oid = t.typnamespace WHERE t.oid = p.proargtypes[0] AND t.typtype IN ('c', 'd', 'p')) END) AS routine
  FROM pg_catalog.pg_proc AS p JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace JOIN pg_catalog.pg_language AS l ON l.oid = p.prolang`;

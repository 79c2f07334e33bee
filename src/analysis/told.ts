/**
 * What a task may be told of the texts that `pg_catalog` holds, as conditions in SQL. PostgreSQL shows these texts to every
 * login. A condition asks for the rights of the login under which it runs, which are those of the task: what it may read it
 * may also know. What came with the server (its OIDs end before 16384) is no secret.
 *
 * Names are qualified, operators too: no search path can give them another meaning.
 */

/** Stands where the task's own functions are to be told from others; no text that PostgreSQL takes holds a NUL. */
export const TASKS_FUNCTIONS = '\0';

/** Of the OID of what is asked for, as an expression. */
type Condition = (oid: string) => string;

const same = (left: string, right: string) => `${left} OPERATOR(pg_catalog.=) ${right}`;
const builtIn: Condition = (oid) => `pg_catalog.oidlt(${oid}, 16384)`;
const mayRead: Condition = (oid) => `pg_catalog.has_any_column_privilege(${oid}, 'SELECT')`;

/** A relation of which the login may read something; a partition is read through its root. */
const relation: Condition = (oid) =>
  `(${builtIn(oid)} OR ${mayRead(oid)} OR ${mayRead(`pg_catalog.pg_partition_root(${oid})`)})`;

/** What hangs on a relation, by a row of another catalogue. */
const ofRelation =
  (catalogue: string, column: string, key = 'oid'): Condition =>
  (oid) =>
    `EXISTS (SELECT FROM pg_catalog.${catalogue} AS part WHERE ${same(`part.${key}`, oid)} AND ${relation(`part.${column}`)})`;

const index = ofRelation('pg_index', 'indrelid', 'indexrelid');
const trigger = ofRelation('pg_trigger', 'tgrelid');
const rule = ofRelation('pg_rewrite', 'ev_class');
const statistics = ofRelation('pg_statistic_ext', 'stxrelid');
const policy = ofRelation('pg_policy', 'polrelid');

/** A function that the task's patterns name. */
const routine: Condition = (oid) =>
  `(${builtIn(oid)} OR EXISTS (SELECT FROM pg_catalog.pg_proc AS routine JOIN pg_catalog.pg_namespace AS home ON ${same('home.oid', 'routine.pronamespace')} WHERE ${same('routine.oid', oid)} AND (${TASKS_FUNCTIONS})))`;

const schema: Condition = (oid) => `(${builtIn(oid)} OR pg_catalog.has_schema_privilege(${oid}, 'USAGE'))`;

const type: Condition = (oid) =>
  `(${builtIn(oid)} OR EXISTS (SELECT FROM pg_catalog.pg_type AS kind WHERE ${same('kind.oid', oid)} AND ${schema('kind.typnamespace')}))`;

const keyOf = (row: string) => `(${relation(`${row}.conrelid`)} AND ${type(`${row}.contypid`)})`;
/** Of a table or of a domain: the other one is 0, and so counts as the server's. */
const constraint: Condition = (oid) =>
  `EXISTS (SELECT FROM pg_catalog.pg_constraint AS rule WHERE ${same('rule.oid', oid)} AND ${keyOf('rule')})`;

const ownDatabase: Condition = (oid) =>
  `(${builtIn(oid)} OR ${same(oid, '(SELECT own.oid FROM pg_catalog.pg_database AS own WHERE own.datname OPERATOR(pg_catalog.=) pg_catalog.current_database())')})`;

/** What may be said of an object, by the catalogue that it is in. */
const OBJECTS: Readonly<Record<string, Condition>> = {
  pg_class: (oid) => `(${relation(oid)} OR ${index(oid)})`,
  pg_proc: routine,
  pg_constraint: constraint,
  pg_trigger: trigger,
  pg_rewrite: rule,
  pg_policy: policy,
  pg_statistic_ext: statistics,
  pg_namespace: schema,
  pg_type: type,
  // What extensions say of themselves comes with them.
  pg_extension: () => 'true',
};

const described = (row: string): string => {
  const cases = Object.entries(OBJECTS).map(
    ([catalogue, condition]) =>
      `WHEN ${same(`${row}.classoid`, `'pg_catalog.${catalogue}'::pg_catalog.regclass`)} THEN ${condition(`${row}.objoid`)}`,
  );
  return `(CASE ${cases.join(' ')} ELSE ${builtIn(`${row}.objoid`)} END)`;
};

/** Whatever is said of objects with this OID may be told. */
const description: Condition = (oid) =>
  `NOT EXISTS (SELECT FROM pg_catalog.pg_description AS said WHERE ${same('said.objoid', oid)} AND ${described('said')} IS NOT TRUE)`;

/** The row that a sub-select stands for. */
const ROW = 'whole';
const by = (condition: Condition, column: string): string => condition(`${ROW}.${column}`);
const byName = (table: string): string =>
  `EXISTS (SELECT FROM pg_catalog.pg_class AS named JOIN pg_catalog.pg_namespace AS home ON ${same('home.oid', 'named.relnamespace')} WHERE ${same('home.nspname', `${ROW}.schemaname`)} AND ${same('named.relname', `${ROW}.${table}`)} AND ${relation('named.oid')})`;
const own = (column: string): string => same(`${ROW}.${column}`, 'CURRENT_USER');
const NEVER = 'false';
/** Statistics of the catalogues are samples of the same texts. */
const ofTables = `${ROW}.schemaname OPERATOR(pg_catalog.<>) 'pg_catalog'`;

/** Columns of `pg_catalog` that hold texts, with when they are told. What `information_schema` shows besides is fewer. */
const COLUMNS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  'information_schema.domains': {
    domain_default: `pg_catalog.has_schema_privilege(${ROW}.domain_schema::text, 'USAGE')`,
  },
  pg_aggregate: {
    agginitval: by(routine, 'aggfnoid::pg_catalog.oid'),
    aggminitval: by(routine, 'aggfnoid::pg_catalog.oid'),
  },
  pg_attrdef: { adbin: by(relation, 'adrelid') },
  pg_attribute: { attmissingval: by(relation, 'attrelid'), attfdwoptions: by(relation, 'attrelid') },
  pg_class: { relpartbound: by(relation, 'oid') },
  pg_constraint: { conbin: keyOf(ROW) },
  pg_db_role_setting: {
    setconfig: `EXISTS (SELECT FROM pg_catalog.pg_roles AS who WHERE ${same('who.oid', `${ROW}.setrole`)} AND ${same('who.rolname', 'CURRENT_USER')})`,
  },
  pg_description: { description: described(ROW) },
  pg_foreign_data_wrapper: { fdwoptions: `pg_catalog.has_foreign_data_wrapper_privilege(${ROW}.oid, 'USAGE')` },
  pg_foreign_server: { srvoptions: `pg_catalog.has_server_privilege(${ROW}.oid, 'USAGE')` },
  pg_foreign_table: { ftoptions: by(relation, 'ftrelid') },
  pg_index: { indexprs: by(relation, 'indrelid'), indpred: by(relation, 'indrelid') },
  pg_indexes: { indexdef: byName('tablename') },
  pg_matviews: { definition: byName('matviewname') },
  pg_partitioned_table: { partexprs: by(relation, 'partrelid') },
  pg_policies: { qual: byName('tablename'), with_check: byName('tablename') },
  pg_policy: { polqual: by(relation, 'polrelid'), polwithcheck: by(relation, 'polrelid') },
  pg_proc: {
    prosrc: by(routine, 'oid'),
    probin: by(routine, 'oid'),
    prosqlbody: by(routine, 'oid'),
    proargdefaults: by(routine, 'oid'),
    proconfig: by(routine, 'oid'),
  },
  pg_publication_rel: { prqual: by(relation, 'prrelid') },
  pg_publication_tables: { rowfilter: byName('tablename') },
  pg_rewrite: { ev_qual: by(relation, 'ev_class'), ev_action: by(relation, 'ev_class') },
  pg_roles: { rolconfig: own('rolname') },
  pg_rules: { definition: byName('tablename') },
  pg_seclabel: { label: NEVER },
  pg_seclabels: { label: NEVER },
  pg_shdescription: { description: by(ownDatabase, 'objoid') },
  pg_shseclabel: { label: NEVER },
  pg_statistic_ext: { stxexprs: by(relation, 'stxrelid') },
  pg_stats: {
    most_common_vals: ofTables,
    most_common_elems: ofTables,
    histogram_bounds: ofTables,
    range_bounds_histogram: ofTables,
  },
  pg_trigger: { tgargs: by(relation, 'tgrelid'), tgqual: by(relation, 'tgrelid') },
  pg_ts_dict: { dictinitoption: `(${by(builtIn, 'oid')} OR ${by(schema, 'dictnamespace')})` },
  pg_type: { typdefault: by(type, 'oid'), typdefaultbin: by(type, 'oid') },
  pg_user: { useconfig: own('usename') },
  pg_views: { definition: byName('viewname') },
};

/**
 * When a column of `pg_catalog` may be told, of the row `whole`. An expression that nothing is known of is told never: a
 * newer server has more of them.
 *
 * @returns undefined where it is told to everybody.
 */
export function toldWhen(
  relation: { readonly schema: string; readonly name: string },
  column: { readonly name: string; readonly type: string },
): string | undefined {
  const { schema, name } = relation;
  return (
    COLUMNS[schema === 'pg_catalog' ? name : `${schema}.${name}`]?.[column.name] ??
    (column.type === 'pg_node_tree' ? NEVER : undefined)
  );
}

/**
 * A setting that the server or an extension knows, or that has no value. Any other with a dot holds what somebody gave it, for
 * everybody who connects.
 */
const setting: Condition = (name) =>
  `(${same(`pg_catalog.strpos(${name}, '.')`, '0')} OR EXISTS (SELECT FROM pg_catalog.pg_show_all_settings() AS known WHERE ${same('pg_catalog.lower(known.name)', `pg_catalog.lower(${name})`)}) OR pg_catalog.current_setting(${name}, true) IS NULL)`;

/** Functions of the server that look up such a text by an OID or a name, with when they may be asked. */
const CALLS: Readonly<Record<string, Condition>> = {
  col_description: relation,
  current_setting: setting,
  obj_description: description,
  shobj_description: ownDatabase,
  pg_get_constraintdef: constraint,
  pg_get_function_arg_default: routine,
  pg_get_function_arguments: routine,
  pg_get_function_sqlbody: routine,
  pg_get_functiondef: routine,
  pg_get_indexdef: index,
  pg_get_partition_constraintdef: relation,
  pg_get_partkeydef: relation,
  pg_get_ruledef: rule,
  pg_get_statisticsobjdef: statistics,
  pg_get_statisticsobjdef_columns: statistics,
  pg_get_statisticsobjdef_expressions: statistics,
  pg_get_triggerdef: trigger,
  pg_get_viewdef: relation,
};

const OID = '::pg_catalog.oid';
/** What makes of the first argument what is asked for; a view may be named by text. */
const CASTS: Readonly<Record<string, string>> = {
  current_setting: '::pg_catalog.text',
  pg_get_viewdef: `::pg_catalog.regclass${OID}`,
};

/** Definitions by a function that nothing more is known of, and what can't be asked for object by object. */
const NEVER_CALLED = /^(?:pg_get_\w+(?:def|ddl)|pg_get_publication_tables)$/;

/** When a call may be made, for its first argument in `asked.first`. */
export interface CallCondition {
  readonly condition: string;
  /** What the first argument becomes. */
  readonly cast: string;
}

/** @returns `never`; or undefined for a function that tells no such text. */
export function callableWhen(name: string): CallCondition | 'never' | undefined {
  const condition = CALLS[name];
  if (condition === undefined) return NEVER_CALLED.test(name) ? 'never' : undefined;
  return { condition: condition('asked.first'), cast: CASTS[name] ?? OID };
}

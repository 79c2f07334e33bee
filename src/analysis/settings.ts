import type { SessionAct, StatementClass } from '../domain/effect.ts';
import type { Tree } from './parse.ts';

/** Settings of the session that change only how values are written or names are found; the gateway bounds the times itself. */
const HARMLESS = new Set([
  'datestyle',
  'intervalstyle',
  'timezone',
  'extra_float_digits',
  'application_name',
  'client_min_messages',
  'bytea_output',
  'xmloption',
  'search_path',
  'statement_timeout',
  'lock_timeout',
  'idle_in_transaction_session_timeout',
  'transaction_timeout',
  'row_security',
  'default_transaction_isolation',
  'quote_all_identifiers',
  'synchronize_seqscans',
  'jit',
  'plan_cache_mode',
  'random_page_cost',
  'cursor_tuple_fraction',
  'escape_string_warning',
  'lc_monetary',
  'lc_numeric',
  'lc_time',
  'default_text_search_config',
  'check_function_bodies',
]);

/** How the server plans, never what comes of it. */
const PLANNERS = /^enable_[a-z_]+$/;

const ON = /^(?:on|true|yes|1)$/i;
/** Settings that only these values leave as harmless as they are; so does setting them back. */
const HARMLESS_AS: Readonly<Record<string, RegExp>> = {
  client_encoding: /^utf-?8$|^unicode$/i,
  names: /^utf-?8$|^unicode$/i,
  standard_conforming_strings: ON,
  default_transaction_read_only: ON,
  // What scripts of pg_dump begin with.
  default_tablespace: /^$/,
  default_table_access_method: /^heap$/,
  max_parallel_workers_per_gather: /^0$/,
  // What pools send when they take a connection back.
  role: /^none$/i,
  session_authorization: /^(?!)/,
};

/** Settings under which the same statement may mean something else: a plan keeps them, and is measured and applied under them. */
const CHANGE_MEANING = new Set([
  'search_path',
  'datestyle',
  'intervalstyle',
  'timezone',
  'bytea_output',
  'xmloption',
  'extra_float_digits',
  'row_security',
  'lc_monetary',
  'lc_numeric',
  'lc_time',
  'default_text_search_config',
  'check_function_bodies',
]);

export function changesMeaning(name: string): boolean {
  return CHANGE_MEANING.has(name.toLowerCase());
}

/** How SET, RESET and their kin are to be carried; `forbidden` names a setting that no session may touch. */
export function classifySetting(node: Tree): StatementClass | { readonly kind: 'forbidden'; readonly name: string } {
  const kind = String(node['kind']);
  const name = String(node['name'] ?? '').toLowerCase();
  const local = node['is_local'] === true;
  if (kind === 'VAR_RESET_ALL') return session({ act: 'discard', what: 'settings' });
  if (kind === 'VAR_SET_MULTI') return transactionCharacteristics(name, node);
  const value = kind === 'VAR_SET_VALUE' ? settingValue(node, name) : null;
  if (!isHarmless(name, value)) return { kind: 'forbidden', name };
  return session({ act: 'set', name, value, local });
}

/**
 * `SELECT set_config('name', 'value', local)` by itself is SET in another dress: drivers and pg_dump write it so.
 *
 * @returns undefined for any other query.
 */
export function classifySetConfig(select: Tree): StatementClass | undefined {
  if (isDumpsOwnRestriction(select)) return session({ act: 'show' });
  const plain = Object.keys(select).every((key) => ['targetList', 'limitOption', 'op'].includes(key));
  const fromSettings = plain ? undefined : settingLookedUp(select);
  const [only, ...more] = (select['targetList'] as Tree[] | undefined) ?? [];
  const target = only?.['ResTarget'] as Tree | undefined;
  const call = (target?.['val'] as Tree | undefined)?.['FuncCall'] as Tree | undefined;
  if ((!plain && fromSettings === undefined) || more.length > 0 || call === undefined) return undefined;
  const name = ((call['funcname'] as Tree[] | undefined) ?? []).map((part) =>
    String((part['String'] as Tree | undefined)?.['sval']),
  );
  if (!['set_config', 'pg_catalog.set_config'].includes(name.join('.'))) return undefined;
  const [setting, value, local, ...others] = ((call['args'] as unknown[] | undefined) ?? []).map(constantOf);
  if (setting === undefined || value === undefined || local === undefined || others.length > 0) return undefined;
  const lower = setting.toLowerCase();
  if (!isHarmless(lower, value) || (fromSettings !== undefined && fromSettings !== setting)) return undefined;
  return session({ act: 'set', name: lower, value, local: local === 'true' });
}

/** `… FROM pg_show_all_settings() WHERE name = 'bytea_output'`, as administration consoles begin: one row where there is such a setting. */
function settingLookedUp(select: Tree): string | undefined {
  const { fromClause, whereClause, ...rest } = select;
  if (!Object.keys(rest).every((key) => ['targetList', 'limitOption', 'op'].includes(key))) return undefined;
  const written = (node: unknown) => JSON.stringify(node)?.replaceAll(/,?"location":\d+/g, '');
  const named = constantOf(((whereClause as Tree | undefined)?.['A_Expr'] as Tree | undefined)?.['rexpr']);
  if (named === undefined || written(fromClause) !== ALL_SETTINGS) return undefined;
  return written(whereClause) === NAMED.replace('NAME', () => JSON.stringify(named)) ? named : undefined;
}

const ALL_SETTINGS =
  '[{"RangeFunction":{"functions":[{"List":{"items":[{"FuncCall":{"funcname":[{"String":{"sval":"pg_show_all_settings"}}],"funcformat":"COERCE_EXPLICIT_CALL"}},{}]}}]}}]';
const NAMED =
  '{"A_Expr":{"kind":"AEXPR_OP","name":[{"String":{"sval":"="}}],"lexpr":{"ColumnRef":{"fields":[{"String":{"sval":"name"}}]}},"rexpr":{"A_Const":{"sval":{"sval":NAME}}}}}';

/** What pg_dump sends to forbid itself views and foreign tables; it changes nothing but what this session may read. */
function isDumpsOwnRestriction(select: Tree): boolean {
  const text = JSON.stringify(select).replaceAll(/,?"location":\d+/g, '');
  return text === DUMPS_OWN_RESTRICTION;
}

const DUMPS_OWN_RESTRICTION =
  '{"targetList":[{"ResTarget":{"val":{"FuncCall":{"funcname":[{"String":{"sval":"set_config"}}],"args":[{"ColumnRef":{"fields":[{"String":{"sval":"name"}}]}},{"A_Const":{"sval":{"sval":"view, foreign-table"}}},{"A_Const":{"boolval":{}}}],"funcformat":"COERCE_EXPLICIT_CALL"}}}}],"fromClause":[{"RangeVar":{"relname":"pg_settings","inh":true,"relpersistence":"p"}}],"whereClause":{"A_Expr":{"kind":"AEXPR_OP","name":[{"String":{"sval":"="}}],"lexpr":{"ColumnRef":{"fields":[{"String":{"sval":"name"}}]}},"rexpr":{"A_Const":{"sval":{"sval":"restrict_nonsystem_relation_kind"}}}}},"limitOption":"LIMIT_OPTION_DEFAULT","op":"SETOP_NONE"}';

function isHarmless(name: string, value: string | null): boolean {
  if (HARMLESS.has(name) || PLANNERS.test(name) || name === 'transaction_isolation') return true;
  if (name === 'transaction_read_only') return value !== null && ON.test(value);
  const as = Object.hasOwn(HARMLESS_AS, name) ? HARMLESS_AS[name] : undefined;
  return as !== undefined && (value === null || as.test(value));
}

/** `SET TRANSACTION …`: isolation and read-only are the actor's to choose, read-write is not. */
function transactionCharacteristics(
  name: string,
  node: Tree,
): StatementClass | { readonly kind: 'forbidden'; readonly name: string } {
  const options = ((node['args'] as Tree[] | undefined) ?? []).map((item) => item['DefElem'] as Tree | undefined);
  if (name.toUpperCase() !== 'TRANSACTION') {
    const [first, ...others] = options;
    if (others.length === 0 && first?.['defname'] === 'transaction_read_only' && constantOf(first['arg']) === '1')
      return session({ act: 'set', name: 'default_transaction_read_only', value: 'on', local: false });
    const onlyIsolation = options.every((option) => option?.['defname'] === 'transaction_isolation');
    if (!onlyIsolation) return { kind: 'forbidden', name: 'default_transaction_read_only' };
    return session({ act: 'set', name: 'default_transaction_isolation', value: null, local: true });
  }
  for (const option of options) {
    if (option?.['defname'] !== 'transaction_read_only') continue;
    if (constantOf(option['arg']) !== '1') return { kind: 'forbidden', name: 'transaction_read_only' };
  }
  return session({ act: 'set', name: 'transaction', value: null, local: true });
}

function session(act: SessionAct): StatementClass {
  return { kind: 'session', act };
}

function settingValue(node: Tree, name: string): string {
  const values = ((node['args'] as unknown[] | undefined) ?? []).map((arg) => constantOf(arg) ?? '');
  return name === 'search_path'
    ? values.map((value) => `"${value.replaceAll('"', '""')}"`).join(', ')
    : values.join(', ');
}

/** A constant's text. */
export function constantOf(node: unknown): string | undefined {
  const constant = (node as { readonly A_Const?: Tree } | null | undefined)?.A_Const;
  if (constant === undefined) return undefined;
  const text = (constant['sval'] as Tree | undefined)?.['sval'];
  if (typeof text === 'string') return text;
  const integer = constant['ival'] as Tree | undefined;
  if (integer !== undefined) return String(integer['ival'] ?? 0);
  const float = (constant['fval'] as Tree | undefined)?.['fval'];
  if (typeof float === 'string') return float;
  const boolean = constant['boolval'] as Tree | undefined;
  return boolean === undefined ? undefined : String(boolean['boolval'] === true);
}

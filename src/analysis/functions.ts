import type { Catalogue, Routine } from '../engines/catalogue.ts';

/** What calling a function by this name may do. */
export type CallSafety =
  | 'pure'
  /** Side-effect free as far as is known, but not the server's own: it runs in the pinned read-only transaction. */
  | 'trusted'
  /** The server's own, and it reads a value of a type that it is told: that type's checks run. */
  | 'reads any type'
  /** The same with the type of its argument. */
  | 'reads its type'
  | 'sequence'
  /** Reaches files, programs, other servers, or what only a superuser should. */
  | 'server'
  /** There is none of this name: the database will say so. */
  | 'missing'
  | 'unknown';

/** Volatile built-ins that change nothing, and are called by ordinary queries and tools. */
const HARMLESS_VOLATILE = new Set([
  'random',
  'random_normal',
  'setseed',
  'clock_timestamp',
  'timeofday',
  'statement_timestamp',
  'gen_random_uuid',
  'uuidv4',
  'uuidv7',
  'pg_sleep',
  'pg_sleep_for',
  'pg_sleep_until',
  'pg_is_in_recovery',
  'pg_blocking_pids',
  'pg_safe_snapshot_blocking_pids',
  'pg_relation_size',
  'pg_total_relation_size',
  'pg_table_size',
  'pg_indexes_size',
  'pg_database_size',
  'pg_tablespace_size',
  'pg_relation_filepath',
  'lastval',
  'currval',
  'pg_last_wal_receive_lsn',
  'pg_last_wal_replay_lsn',
  'pg_last_xact_replay_timestamp',
  'pg_current_wal_lsn',
  'pg_current_wal_insert_lsn',
  'pg_is_wal_replay_paused',
  'pg_stat_get_activity',
  'pg_lock_status',
  'pg_show_all_settings',
  'pg_get_wal_replay_pause_state',
  'pg_notification_queue_usage',
  'pg_sequence_last_value',
  'pg_get_keywords',
  'pg_isolation_test_session_is_blocked',
  'pg_partition_ancestors',
  'pg_partition_tree',
  'pg_get_sequence_data',
  'pg_control_system',
  'pg_control_checkpoint',
  'pg_control_init',
  'pg_control_recovery',
  'pg_collation_actual_version',
  'pg_database_collation_actual_version',
  'pg_current_logfile',
  'pg_current_wal_flush_lsn',
  'pg_jit_available',
  'pg_last_committed_xact',
  'pg_prepared_xact',
  'pg_xact_commit_timestamp',
  'pg_xact_status',
  'txid_status',
  'pg_stat_clear_snapshot',
  'pg_stat_have_stats',
  'pg_get_wait_events',
  'pg_get_multixact_members',
  'pg_show_replication_origin_status',
  'current_query',
  'array_sample',
  'array_shuffle',
  'bernoulli',
  'system',
  'amvalidate',
]);

/** Declared stable or immutable, and yet they change something or run a string as SQL. */
const UNSAFE_DESPITE_VOLATILITY =
  /^(?:set_config|ts_stat|ts_rewrite|txid_current|pg_current_xact_id|(?:query|table|schema|database|cursor)_to_xml.*|query_to_xmlschema|pg_export_snapshot|pg_advisory.*|pg_try_advisory.*|binary_upgrade_.*)$/;

/** They read a value of a type that is named by text or number, and so run that type's checks. */
const READS_ANY_TYPE = /^(?:(?:domain|array|record|range|multirange)_(?:in|recv)|pg_input_.*)$/;

/** They read a value of the type of their argument, and so run that type's checks. */
const READS_ITS_TYPE = /^jsonb?_populate_record(?:set)?(?:_valid)?$/;

/** Never for an agent, approved or not. */
const SERVER_FUNCTIONS =
  /^(?:pg_read_.*|pg_ls_.*|pg_stat_file|lo_import|lo_export|pg_file_.*|pg_reload_conf|pg_rotate_logfile.*|pg_terminate_backend|pg_cancel_backend|pg_log_backend_memory_contexts|pg_switch_wal|pg_create_restore_point|pg_promote|pg_wal_replay_.*|pg_backup_.*|pg_start_backup|pg_stop_backup|pg_(?:create|drop|copy|replication|logical|sync)_.*slot.*|pg_replication_origin_.*|pg_logical_emit_message|pg_import_system_collations|dblink.*|postgres_fdw_.*|http_?.*|pg_execute_server_program|pg_stat_reset.*|pg_extension_config_dump|currtid2?)$/;

/** Extensions whose immutable and stable functions do nothing but compute. */
const TRUSTED_EXTENSIONS = new Set([
  'citext',
  'pg_trgm',
  'pgcrypto',
  'uuid-ossp',
  'hstore',
  'ltree',
  'unaccent',
  'fuzzystrmatch',
  'btree_gin',
  'btree_gist',
  'intarray',
  'cube',
  'earthdistance',
  'postgis',
  'postgis_raster',
  'postgis_topology',
  'vector',
  'isn',
  'seg',
  'bloom',
  'dict_int',
  'dict_xsyn',
  'tcn',
  'tsm_system_rows',
  'tsm_system_time',
  'pg_stat_statements',
  'pg_buffercache',
  'pgstattuple',
]);
const TRUSTED_VOLATILE =
  /^(?:gen_random_bytes|gen_random_uuid|gen_salt|uuid_generate_v\d\w*|pg_stat_statements|pg_stat_statements_info)$/;

const SEQUENCE_FUNCTIONS = new Set(['nextval', 'setval']);

/**
 * What a call by this name may do. Judged by name, whatever the arguments: it is safe only if every function that the
 * name could mean is.
 *
 * @param schema as written, or `null`: then it is looked for along the path, and in `pg_catalog` wherever that stands.
 */
export function callSafety(schema: string | null, name: string, within: Lookup): CallSafety {
  const { catalogue } = within;
  const meant = routinesNamed(schema, name, within);
  if (meant.length === 0) return SERVER_FUNCTIONS.test(name) ? 'server' : 'missing';
  const safeties = new Set(meant.map((routine) => routineSafety(routine, catalogue)));
  for (const worst of ['server', 'unknown', 'sequence', 'reads any type', 'reads its type', 'trusted'] as const)
    if (safeties.has(worst)) return worst;
  return 'pure';
}

/** Where names are looked for. */
interface Lookup {
  readonly catalogue: Catalogue;
  readonly searchPath: readonly string[];
}

/** Every function that a name could mean, whatever the arguments. */
export function routinesNamed(
  schema: string | null,
  name: string,
  { catalogue, searchPath }: Lookup,
): readonly Routine[] {
  const schemas = schema === null ? ['pg_catalog', ...searchPath] : [schema];
  return (catalogue.functions.get(name) ?? []).filter((routine) => schemas.includes(routine.schema));
}

export function routineSafety(routine: Routine, catalogue: Catalogue): CallSafety {
  const { name, volatility, builtIn, extension, kind } = routine;
  if (SERVER_FUNCTIONS.test(name) && (builtIn || extension !== null)) return 'server';
  if (builtIn) {
    if (SEQUENCE_FUNCTIONS.has(name)) return 'sequence';
    if (UNSAFE_DESPITE_VOLATILITY.test(name) || /^lo_|^lowrite$|^loread$/.test(name)) return 'unknown';
    if (READS_ANY_TYPE.test(name)) return 'reads any type';
    if (READS_ITS_TYPE.test(name)) return 'reads its type';
    if (volatility !== 'volatile' || kind === 'aggregate' || kind === 'window') return 'pure';
    return HARMLESS_VOLATILE.has(name) || /^pg_stat_get_/.test(name) ? 'pure' : 'unknown';
  }
  if (routine.vouched === true) return 'trusted';
  if (extension !== null && TRUSTED_EXTENSIONS.has(extension))
    return volatility !== 'volatile' || TRUSTED_VOLATILE.test(name) ? 'trusted' : 'unknown';
  // An aggregate is as good as the functions that it is made of.
  if (kind === 'aggregate' && routine.runs.length > 0)
    return routine.runs.every((signature) => safetyOf(signature, catalogue) !== 'unknown') ? 'trusted' : 'unknown';
  return 'unknown';
}

/** What the function of a signature may do, where it runs without being called by name. */
export function safetyOf(signature: string, catalogue: Catalogue): 'harmless' | 'vouched' | 'unknown' {
  const routine = routineOf(signature, catalogue);
  if (routine === undefined) return 'unknown';
  if (routine.vouched === true) return 'vouched';
  const safety = routineSafety(routine, catalogue);
  return safety === 'unknown' || safety === 'server' || safety === 'sequence' ? 'unknown' : 'harmless';
}

const bySignature = new WeakMap<Catalogue, ReadonlyMap<string, Routine>>();

/** The function of a signature, `schema.name(type, type)`. */
export function routineOf(signature: string, catalogue: Catalogue): Routine | undefined {
  let known = bySignature.get(catalogue);
  if (known === undefined) {
    known = new Map([...catalogue.functions.values()].flat().map((routine) => [routine.signature, routine]));
    bySignature.set(catalogue, known);
  }
  return known.get(signature);
}

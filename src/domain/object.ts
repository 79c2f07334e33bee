/** A thing in a database that an effect touches. */
export interface ObjectRef {
  readonly kind: ObjectKind;
  /** Empty where the kind has none (role, database, setting). */
  readonly schema: string;
  readonly name: string;
}

export type ObjectKind =
  | 'table'
  | 'view'
  | 'materialized view'
  | 'foreign table'
  | 'sequence'
  | 'index'
  | 'function'
  | 'type'
  | 'schema'
  | 'trigger'
  | 'rule'
  | 'policy'
  | 'constraint'
  | 'column'
  | 'extension'
  | 'role'
  | 'database'
  | 'setting'
  | 'file'
  /** What one listens to and notifies: in the schema `pg_notify`, which nobody can make. */
  | 'channel'
  /** In the schema `pg_advisory`, which nobody can make; named by its key, or both. */
  | 'advisory lock'
  | 'server'
  | 'object';

/** `schema.name` as people write it, unquoted: for messages and matching, never for SQL. */
export function objectName(object: ObjectRef): string {
  return object.schema === '' ? object.name : `${object.schema}.${object.name}`;
}

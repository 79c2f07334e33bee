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
  | 'server'
  | 'object';

/** `schema.name` as people write it, unquoted: for messages and matching, never for SQL. */
export function objectName(object: ObjectRef): string {
  return object.schema === '' ? object.name : `${object.schema}.${object.name}`;
}

/**
 * Whether `schema.name` falls under a pattern. `*` stands for a whole part (`public.*`, `*.*`); nothing else is special,
 * and a pattern without a dot is in schema `public`.
 */
export function matchesPattern(object: Pick<ObjectRef, 'schema' | 'name'>, pattern: string): boolean {
  const dot = pattern.indexOf('.');
  const schema = dot === -1 ? 'public' : pattern.slice(0, dot);
  const name = dot === -1 ? pattern : pattern.slice(dot + 1);
  return (schema === '*' || schema === object.schema) && (name === '*' || name === object.name);
}

/** Whether everything that `pattern` can match also falls under `wide`. */
export function coversPattern(wide: string, pattern: string): boolean {
  const parts = (text: string): readonly [string, string] => {
    const dot = text.indexOf('.');
    return dot === -1 ? ['public', text] : [text.slice(0, dot), text.slice(dot + 1)];
  };
  const [wideSchema, wideName] = parts(wide);
  const [schema, name] = parts(pattern);
  return (wideSchema === '*' || wideSchema === schema) && (wideName === '*' || wideName === name);
}

import type { Compilable, CompiledQuery } from 'kysely';

/** What SQLite binds. */
export type SqlValue = null | string | number | bigint | Uint8Array;

/** A statement that changes state, made by a repository and executed with the entry that proves it. */
export interface Write {
  readonly sql: string;
  readonly parameters: readonly SqlValue[];
  /** How many rows it must change; any other number means that the state was not what the caller believed. */
  readonly expectChanges?: number;
}

/** @param expectChanges how many rows it must change. */
export function write(query: Compilable<unknown>, expectChanges?: number): Write {
  const { sql, parameters }: CompiledQuery = query.compile();
  return { sql, parameters: parameters.map(toSqlValue), ...(expectChanges === undefined ? {} : { expectChanges }) };
}

function toSqlValue(value: unknown): SqlValue {
  if (value === null || typeof value === 'string' || typeof value === 'number' || typeof value === 'bigint')
    return value;
  if (value instanceof Uint8Array) return value;
  if (typeof value === 'boolean') return value ? 1 : 0;
  throw new TypeError(`${typeof value} can't be stored`);
}

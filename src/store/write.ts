import type { Compilable, CompiledQuery } from 'kysely';

/** What both dialects bind. */
export type SqlValue = null | string | number | bigint | Uint8Array;

/** A change of the state, made by a repository and executed with the entry that proves it. */
export type Write = Statement | Rows;

/** A statement that both dialects understand, with `?` for each parameter and for nothing else. */
export interface Statement {
  readonly sql: string;
  readonly parameters: readonly SqlValue[];
  /** How many rows it must change; any other number means that the state was not what the caller believed. */
  readonly expectChanges?: number;
}

/** Many rows for one table: a round trip for all of them where there is one. */
export interface Rows {
  readonly into: string;
  /** Name and type (as PostgreSQL names it) of each column. */
  readonly columns: readonly (readonly [name: string, type: 'bigint' | 'text' | 'bytea'])[];
  readonly rows: readonly (readonly SqlValue[])[];
}

/** @param expectChanges how many rows it must change. */
export function write(query: Compilable<unknown>, expectChanges?: number): Statement {
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

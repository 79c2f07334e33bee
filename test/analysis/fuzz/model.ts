/** What the grammar may speak of: a random schema as plain data, beside the SQL that makes it. */
export interface Model {
  readonly relations: readonly ModelRelation[];
  readonly routines: readonly ModelRoutine[];
  /** Types beyond the server's own, as they are written in SQL. */
  readonly types: readonly ModelType[];
  /** Operators beyond the server's own. */
  readonly operators: readonly { readonly symbol: string; readonly left: string; readonly right: string }[];
  readonly sequences: readonly string[];
  /** Expressions that only make sense in this schema, with the type they have. */
  readonly expressions: readonly { readonly sql: string; readonly type: string }[];
  /** Code hides in expressions over the server's own types: nothing can be called harmless here. */
  readonly hidesEverywhere: boolean;
}

export interface ModelRelation {
  /** As it is written in SQL, schema and quotes included. */
  readonly name: string;
  readonly columns: readonly ModelColumn[];
  readonly holds: 'rows' | 'a query';
  /** Nothing but the server's own code runs when it is read. */
  readonly harmless: boolean;
}

export interface ModelColumn {
  readonly name: string;
  readonly type: string;
}

export interface ModelRoutine {
  readonly name: string;
  readonly takes: readonly string[];
  readonly gives: string;
  readonly kind: 'function' | 'aggregate' | 'set' | 'procedure';
}

export interface ModelType {
  readonly name: string;
  /** A literal that its input takes. */
  readonly literal: string;
  readonly harmless: boolean;
}

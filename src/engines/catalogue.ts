import type { Mask, Masking } from '../domain/masking.ts';

/**
 * What the analyser must know of a target's objects: a snapshot of its catalogue, plain data, loaded by the engine.
 * Built-in things of `pg_catalog` are in it only where the analyser judges them (functions); users' objects are whole.
 */
export interface Catalogue {
  /** Equal versions mean equal content. Analyses are cached by text and version. */
  readonly version: string;
  readonly serverVersion: number;
  /** The schemas an unqualified name is looked up in by default, `pg_catalog` excluded (it always comes first). */
  readonly searchPath: readonly string[];
  readonly schemas: readonly string[];
  readonly extensions: readonly string[];
  /** What is masked in it, by configuration. */
  readonly masking: Masking;
  /** By `schema.name`, system catalogues included (they carry `system: true`). */
  readonly relations: ReadonlyMap<string, Relation>;
  /** What stands in for views of `information_schema` that show a login without ownership less than it may know, by name. */
  readonly schemaViews: ReadonlyMap<string, string>;
  /** Every function visible by name: `name` → all overloads in all schemas. */
  readonly functions: ReadonlyMap<string, readonly Routine[]>;
  /** Operators that users have made, by symbol. */
  readonly userOperators: ReadonlyMap<string, readonly UserOperator[]>;
  /** Types outside `pg_catalog`, by `schema.name`. */
  readonly userTypes: ReadonlyMap<string, UserType>;
  /** Code of users that the server's own types run: it may hide in any expression. */
  readonly hiddenCode: readonly HiddenCode[];
}

export interface UserOperator {
  readonly schema: string;
  /** `schema.symbol(left, right)` */
  readonly signature: string;
  /** Signatures of the functions that it runs, or that the planner may put in its place. */
  readonly functions: readonly string[];
}

/** Functions that run without a statement naming them. */
export interface HiddenCode {
  /** For people, e.g. `the cast from boolean to date`. */
  readonly what: string;
  /** Signatures. */
  readonly functions: readonly string[];
  /** For a cast that must be written out: what it leads to, as `Catalogue.userTypes` or `pg_type` names it. */
  readonly castTo: string | null;
}

export interface Relation {
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
  readonly kind:
    | 'table'
    | 'partitioned table'
    | 'view'
    | 'materialized view'
    | 'foreign table'
    | 'sequence'
    | 'index'
    | 'composite type';
  readonly system: boolean;
  readonly owner: string;
  readonly columns: readonly Column[];
  readonly estimatedRows: number;
  readonly comment: string | null;
  readonly primaryKey: readonly string[];
  readonly rowSecurity: boolean;
  /** The text of a view's query with every name qualified (`pg_get_viewdef` under an empty search path). */
  readonly definition: string | null;
  /** A view that reads with the rights of whoever asks, not of its owner. */
  readonly securityInvoker: boolean;
  /** The texts of row-security expressions, qualified. */
  readonly securityExpressions: readonly string[];
  /** Those of them that hold for everybody: what they read is read with the rights of whoever asks. */
  readonly securityOfAll: readonly string[];
  /** Signatures of users' functions that planning or scanning may run: of indexes, checks, statistics and partition keys. */
  readonly planned: readonly string[];
  readonly triggers: readonly Trigger[];
  /** Rewrite rules other than a view's own. */
  readonly rules: readonly { readonly name: string; readonly definition: string }[];
  /** Foreign keys of other tables that point here. */
  readonly referencedBy: readonly ForeignKey[];
  readonly references: readonly ForeignKey[];
  /** `schema.name` of the direct partitions or inheritance children. */
  readonly children: readonly string[];
  readonly parent: string | null;
  readonly indexes: readonly { readonly name: string; readonly definition: string }[];
}

export interface Column {
  readonly name: string;
  readonly type: string;
  readonly nullable: boolean;
  readonly default: string | null;
  readonly generated: boolean;
  readonly comment: string | null;
  /** As what its values are shown to whoever sees this catalogue. */
  readonly mask?: Mask;
}

export interface Trigger {
  readonly name: string;
  /** `schema.name` of its function. */
  readonly function: string;
  readonly language: string;
  readonly events: readonly ('insert' | 'update' | 'delete' | 'truncate')[];
  readonly enabled: boolean;
  /** The function's source text, where it has one. */
  readonly source: string;
}

export interface ForeignKey {
  readonly name: string;
  /** `schema.name` of the table that holds the key. */
  readonly from: string;
  readonly to: string;
  readonly onDelete: 'no action' | 'restrict' | 'cascade' | 'set null' | 'set default';
  readonly onUpdate: 'no action' | 'restrict' | 'cascade' | 'set null' | 'set default';
  readonly columns: readonly string[];
  readonly referencedColumns: readonly string[];
}

export interface Routine {
  readonly schema: string;
  readonly name: string;
  /** `schema.name(type, type)` */
  readonly signature: string;
  readonly kind: 'function' | 'procedure' | 'aggregate' | 'window';
  readonly volatility: 'immutable' | 'stable' | 'volatile';
  readonly language: string;
  readonly securityDefiner: boolean;
  /** Made at initdb, by the server itself. */
  readonly builtIn: boolean;
  /** The extension that it belongs to, where it does. */
  readonly extension: string | null;
  readonly argumentTypes: readonly string[];
  readonly returnType: string;
  /** `schema.name` of the composite type (or a domain, or any type) that it takes first: then `row.name` may call it. */
  readonly onlyArgumentComposite: string | null;
  /** Of an aggregate: the signatures of the functions that it runs. */
  readonly runs: readonly string[];
  /** SHA-256 over definition and owner; `null` for built-in functions and for aggregates, which are as good as what they run. */
  readonly definition: string | null;
  /** A person has vouched for exactly this definition. */
  readonly vouched?: true;
}

export interface UserType {
  readonly kind: 'base' | 'composite' | 'domain' | 'enum' | 'range' | 'multirange' | 'pseudo';
  readonly extension: string | null;
  /** For a domain: the texts of its checks. */
  readonly checks: readonly string[];
  /** What it is made of, as `userTypes` or `pg_type` names it: elements, attributes, the type below a domain or a range. */
  readonly parts: readonly string[];
  /** What comes with its values: casts, its order, how it is read and written. */
  readonly code: readonly HiddenCode[];
}

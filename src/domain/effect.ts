import type { DatabaseFailure } from './database-failure.ts';
import type { Digest } from './ids.ts';
import type { ObjectRef } from './object.ts';

/** What a statement does to an object. Policies speak of these words, so there are few. */
export const VERBS = [
  /** Rows are read. */
  'read',
  /** Rows are locked without being changed (`SELECT … FOR UPDATE`, `LOCK TABLE` in modes that hold nobody up). */
  'lock',
  'insert',
  'update',
  'delete',
  'truncate',
  /** An object comes into being, nothing existing changes. */
  'create',
  /** An existing object is changed. */
  'alter',
  /** An object and what hangs on it is removed. */
  'drop',
  /** Rights or ownership change. */
  'privilege',
  /** Code runs whose effect is not known (user functions, `DO`, `CALL`). */
  'unknown',
  /** Upkeep without change of content (`VACUUM`, `REINDEX`, `REFRESH MATERIALIZED VIEW`, `LOCK TABLE` that others wait for). */
  'maintain',
  /** Files or programs of the server, the server's configuration, other databases, replication, superuser matters. */
  'server',
] as const;
export type Verb = (typeof VERBS)[number];

/** What an intent would do, as far as can be known before it runs. */
export interface Effect {
  readonly verb: Verb;
  readonly object: ObjectRef;
  readonly via: 'direct' | 'cascade' | 'trigger' | 'rule';
  /** Every row of the table may be meant: no WHERE, or one that is always true. */
  readonly wholeTable?: boolean;
  /** In what mode LOCK TABLE takes it, where others would wait for it. */
  readonly mode?: string;
  /** Columns read or written where that is known. */
  readonly columns?: readonly string[];
}

/** How a statement is to be carried. */
export type StatementClass =
  /** Only reads. `pure`: proven to call nothing but side-effect free built-ins, so it needs no pinned transaction. */
  | { readonly kind: 'read'; readonly pure: boolean }
  /** Changes rows in a way that can be run, measured and rolled back. */
  | { readonly kind: 'write' }
  /** Anything else that could be planned: schema, privileges, unknown code. */
  | { readonly kind: 'change'; readonly transactional: boolean }
  /** `BEGIN`, `COMMIT`, `SAVEPOINT` … */
  | { readonly kind: 'transaction'; readonly act: TransactionAct }
  /** Changes or shows only what the session itself holds. Where it has effects, they are decided on (PREPARE, LISTEN). */
  | { readonly kind: 'session'; readonly act: SessionAct }
  /** `CALL countersign.apply('<plan>')`: asks the gateway, not the database, to apply an approved plan. */
  | { readonly kind: 'apply'; readonly plan: string }
  /** Not carried through the gateway in any way (CS008). */
  | { readonly kind: 'unsupported'; readonly what: string };

export type TransactionAct =
  /** `plain`: without a word on what kind of transaction it is to be. */
  | { readonly act: 'begin'; readonly readOnly: boolean; readonly plain: boolean; readonly tag: string }
  | { readonly act: 'commit' }
  | { readonly act: 'rollback' }
  | { readonly act: 'savepoint' | 'release' | 'rollback to'; readonly name: string };

export type SessionAct =
  | { readonly act: 'set'; readonly name: string; readonly value: string | null; readonly local: boolean }
  /** `DISCARD`, `DEALLOCATE`, `RESET ALL`, `CLOSE`: what the session holds goes away. */
  | { readonly act: 'discard'; readonly what: 'all' | 'plans' | 'sequences' | 'temp' | 'settings' }
  /** `text` is the whole PREPARE statement. */
  | { readonly act: 'prepare'; readonly name: string; readonly text: string }
  /** `null`: all of them. */
  | { readonly act: 'deallocate'; readonly name: string | null }
  /** FETCH, MOVE and CLOSE. `null`: all of them. */
  | { readonly act: 'cursor'; readonly name: string | null; readonly closes: boolean }
  | { readonly act: 'listen'; readonly channel: string }
  | { readonly act: 'unlisten'; readonly channel: string | null }
  /** Held until the session ends or gives it back; `null`: all of them. */
  | { readonly act: 'advisory lock'; readonly key: string | null; readonly takes: boolean }
  | { readonly act: 'show' }
  | { readonly act: 'constraints' };

/** The analysis of one statement's text against one version of a catalogue. */
export interface Analysis {
  readonly class: StatementClass;
  readonly effects: readonly Effect[];
  /** Constructs whose effect could not be known, named for people; empty means the effects are certain. */
  readonly unknown: readonly string[];
  /** Functions that a person could vouch for so that less of it is unknown: `schema.name(type, type)`. */
  readonly vouchable: readonly string[];
  /** The statement with its constants taken out: for grouping and for the ledger. */
  readonly shape: string;
  /** The command as PostgreSQL tags it, e.g. `DELETE` or `ALTER TABLE`. */
  readonly command: string;
  /** The statement that an EXECUTE runs, as it was prepared: what is said of the EXECUTE holds for this text only. */
  readonly executes?: PreparedText;
  /** Rows follow the statement (COPY … FROM STDIN): it can be measured, and can't wait as a plan. */
  readonly takesRows?: true;
  /** It makes code, changes it, or brings it where rows run it: what comes after it may run what nobody has looked at. */
  readonly makesCode?: true;
  /** The cursor that it declares and that outlives its transaction. */
  readonly holdsCursor?: string;
  /** Where a masking view is to be named in place of a relation; it is judged again with these made. */
  readonly rewrites?: readonly Rewrite[];
  /** Masked columns whose values it would see as they are. */
  readonly unmasked?: readonly string[];
  /**
   * Where it asks for texts of the server's catalogues, with the condition under which they are told. A NUL stands where
   * the task's own functions are told from others.
   */
  readonly toldWhere?: readonly Rewrite[];
  /** Texts of the catalogues that it asks for in a way in which no condition can be put. */
  readonly untold?: readonly string[];
  /** Relations that it reads and that only the gateway has. */
  readonly ownViews?: readonly OwnView[];
  /** Relations that it reads and that show a task less than it may know. */
  readonly schemaViews?: readonly ServedView[];
  /** It asks for what is already so: nothing can come of it. */
  readonly alreadySo?: AlreadySo;
}

/** A place in a text, in bytes of UTF-8, and what is to stand there instead. */
export interface Rewrite {
  readonly start: number;
  readonly end: number;
  readonly text: string;
}

/** What PostgreSQL answers a definition that finds everything as it wants it, and what that answer tells. */
export interface AlreadySo {
  readonly tag: string;
  readonly notices: readonly DatabaseFailure[];
  /** Whoever may not read this is not told whether it exists. */
  readonly shows: readonly Effect[];
}

/** Where a query names a relation for which the gateway puts another. */
export interface ServedView<Name extends string = string> {
  readonly view: Name;
  /** In bytes of UTF-8, of the name in the text. */
  readonly start: number;
  readonly end: number;
  /** An alias follows. */
  readonly named: boolean;
}

/** A relation that only the gateway has. */
export type OwnView = ServedView<'plans' | 'status'>;

/** A statement that a session has prepared under a name: by SQL (`text` is the PREPARE) or by protocol (the statement itself). */
export interface PreparedText {
  readonly name: string;
  readonly text: string;
  readonly by: 'sql' | 'protocol';
}

/** What a dry run, or a write before its commit, was measured to do. */
export interface MeasuredEffect {
  readonly tables: readonly TableEffect[];
  readonly objects: readonly ObjectChange[];
  readonly locks: readonly { readonly table: string; readonly mode: string }[];
  readonly samples: readonly RowSample[];
  readonly durationMs: number;
  readonly walBytes: number;
  /** Columns by table whose values differ from run to run (clocks, sequences, random): left out of the digest. */
  readonly volatileColumns: Readonly<Record<string, readonly string[]>>;
  /** How its definitions are made as they were; absent where none changed. */
  readonly inverse?: Inverse;
  /** Set where what it drops is moved into quarantine instead. */
  readonly kept?: Kept;
  /** Equal digests mean the same rows with the same before and after, and the same objects (G3). */
  readonly digest: string;
}

/** Statements that take a change of definitions back, and by what one can tell that nobody has changed them since; or why there are none. */
export type Inverse =
  | {
      readonly statements: readonly string[];
      /** Digest over the definitions as the change leaves them. */
      readonly leaves: Digest;
    }
  | { readonly why: string };

/** What is kept of a drop in the target itself, and how it comes back. */
export interface Kept {
  /** From when it is applied. */
  readonly keepMs: number;
  readonly bytes: number;
  /** How long its way back takes: gone in the dry run, foreign keys estimated by their rows. */
  readonly undoMs: number;
}

export interface TableEffect {
  /** `schema.table` */
  readonly table: string;
  readonly inserted: number;
  readonly updated: number;
  readonly deleted: number;
  readonly truncated: number;
  readonly via: Effect['via'];
}

export interface ObjectChange {
  readonly change: 'created' | 'altered' | 'dropped';
  /** A kind and a qualified name, as the catalogue fingerprint lists it. */
  readonly object: string;
  /** Rows that went with it, where it held any. */
  readonly rows?: number;
}

/** One row before and after, each column in the database's text form. At most a few a table: a look, not a record. */
export interface RowSample {
  readonly table: string;
  readonly before: Readonly<Record<string, string | null>> | null;
  readonly after: Readonly<Record<string, string | null>> | null;
}

/** All rows changed, whatever the table and the way. */
export function rowsChanged(tables: readonly TableEffect[]): number {
  return tables.reduce((sum, table) => sum + table.inserted + table.updated + table.deleted + table.truncated, 0);
}

import type { DatabaseFailure } from '../domain/database-failure.ts';
import type { DefinitionMove, Definitions } from '../domain/drift.ts';
import type { MeasuredEffect } from '../domain/effect.ts';
import type { Digest, PlanId } from '../domain/ids.ts';
import type { Statement } from '../domain/intent.ts';
import type { Measurement } from '../domain/plan.ts';
import type { Profile } from '../domain/profile.ts';
import type { Quarantined } from '../domain/quarantine.ts';
import type { StatementAnswer } from '../domain/statement-answer.ts';
import type { Target, TargetIdentity } from '../domain/target.ts';
import type { Catalogue } from './catalogue.ts';
import type { HealthReport, HealthRequest, StatementOrder, StatementStatisticsReply } from './health.ts';
import type { EngineSession } from './session.ts';

/** A login of the target, resolved from a secret reference. Never logged, never shown. */
export interface Credential {
  readonly user: string;
  readonly password: string;
}

/**
 * The two purposes, and two credentials (G4). `session` reads the catalogue and provisions the profile logins that
 * actors' sessions use; `apply` measures plans and applies them, and is never used for a session.
 */
export interface TargetCredentials {
  readonly session: Credential;
  readonly apply: Credential;
}

/** The port to one target. Everything that speaks SQL to a target stands behind it. */
export interface TargetEngine {
  readonly target: Target;

  /** Who is at the other end, asked live. */
  identify(): Promise<TargetIdentity>;

  /** The catalogue as last seen; a change in the target is noticed within `CATALOGUE_POLL_MS`, or at once by `refreshCatalogue`. */
  currentCatalogue(): Catalogue;
  refreshCatalogue(): Promise<Catalogue>;

  /** Makes the two logins of a profile exist with exactly its grants. Idempotent, safe against another node doing the same. */
  provision(profile: Profile): Promise<ProfileLogins>;

  /**
   * Drops the logins of profiles that nobody uses, if they were suspects before. @returns those dropped, and those that
   * nobody uses either: the suspects of the next look.
   */
  retireProfiles(request: {
    readonly keep: readonly Profile[];
    readonly suspects: ReadonlySet<string>;
  }): Promise<{ readonly retired: readonly string[]; readonly unused: readonly string[] }>;

  /** Opens a connection for an actor's session under a profile login. Its identity is verified before it is handed out (G9). */
  openSession(login: Credential): Promise<EngineSession>;

  /** Looks at how the database does. Reads statistics and catalogues only; says nothing of relations that are not named. */
  inspect(request: HealthRequest): Promise<readonly HealthReport[]>;

  /** The costliest statements as the server has counted them, whoever sent them: the caller must leave out what is not to be seen. */
  statementStatistics(order: StatementOrder): Promise<StatementStatisticsReply>;

  /** Ends server processes of profile logins by force; cancelling was not enough (G11). */
  terminate(processIds: readonly number[]): Promise<void>;

  /** How many sessions, of whomever, wait for locks that a server process holds; advisory locks apart. */
  othersWaiting(processId: number): Promise<number>;

  /**
   * Runs the statements in a transaction that is bounded and rolled back, and reports what they did (G2).
   * What can't be tried without risk comes back as `measured: false`, never as a guess.
   */
  measure(request: MeasureRequest): Promise<Measured>;

  /** Runs an approved plan exactly once (G6) and commits only if its effect is the approved one (G3). */
  apply(request: ApplyRequest): Promise<ApplyOutcome>;

  /** What is kept of a change so that it can be undone; `undefined` where nothing is (any more). */
  keptRows(change: string): Promise<KeptRows | undefined>;

  /** Keeps rows of a branch as those of a change, so that taking it back brings them in. */
  layRows(change: string, tables: readonly RowsToLay[]): Promise<void>;
  /** Lets go of rows that were laid and are not to be brought in. */
  forgetRows(change: string): Promise<void>;

  /** Digest over the definitions of objects as they are now, by which a change's `Inverse` tells whether it still fits. */
  definitionsNow(objects: readonly string[]): Promise<Digest>;

  /** All of the schema as it is now, to be compared with what it should be. */
  definitions(): Promise<Definitions>;

  /** What approved drops have put into quarantine, the oldest first. */
  quarantined(): Promise<readonly Quarantined[]>;

  /** Changes whose rows are kept beyond these bounds, the oldest first. What lies in quarantine is none of them. */
  beyondKeeping(bounds: KeepBounds): Promise<readonly ExpiredChange[]>;
  /** Lets go of their rows: they can't be undone any more. */
  dropKept(expired: readonly ExpiredChange[]): Promise<void>;

  /** Lets go of what says that writes took effect, once nobody asks for it any more; never of an intent that is open. */
  forgetMarks(which: { readonly keepMs: number; readonly open: readonly string[] }): Promise<number>;

  /** Whether a plan's change is in the target: the row it left there is the truth (G6). */
  appliedState(plan: PlanId): Promise<AppliedState>;

  /** The same for an in-limits write, by its intent. Once it is said not to have taken effect, it never will. */
  writtenState(intent: string): Promise<AppliedState>;

  close(): Promise<void>;
}

/** Which change is to be taken back, and what becomes of rows that somebody has changed since. */
export interface UndoOf {
  /** The plan, or the intent of an in-limits write. */
  readonly change: string;
  /** They are left as they are; else they stand in the way of all of it. */
  readonly keepNewer: boolean;
}

/** The rows before and after that a target keeps of one change. */
export interface KeptRows {
  /** `schema.name`, partitions by their root. */
  readonly tables: readonly string[];
  readonly rows: number;
}

/** What is to become of a table's rows, each as the text that the server writes of it. */
export interface RowsToLay {
  /** `schema.name`, a partition's by the root of its tree. */
  readonly table: string;
  /** All columns of its rows, in their order. */
  readonly columns: readonly string[];
  readonly comes: readonly string[];
  readonly goes: readonly string[];
}

/** How long, and up to which size, a target keeps rows for undo. */
export interface KeepBounds {
  readonly keepMs: number;
  readonly maxBytes: number;
}

export interface ExpiredChange {
  /** The plan, or the intent of a write. */
  readonly change: string;
  /** What its rows are filed under. */
  readonly keptAs: string;
  readonly rows: number;
  readonly bytes: number;
}

export const CATALOGUE_POLL_MS = 1000;

/** Logins of one profile: `read` holds SELECT only and defaults to read-only transactions; `write` also changes rows of the declared tables. */
export interface ProfileLogins {
  readonly read: Credential;
  /** Absent when the profile writes nothing. */
  readonly write?: Credential;
}

export interface MeasureRequest {
  readonly statements: readonly Statement[];
  /** What is taken back, in place of statements that are run. */
  readonly undo?: UndoOf;
  /** The drop of whose quarantine is let go, in place of statements that are run. */
  readonly purge?: string;
  /** The statements only drop things: where that can be, they are moved into quarantine for as long. */
  readonly quarantine?: { readonly keepMs: number };
  /** Session settings under which the statements are understood (`search_path` …). */
  readonly settings: readonly { readonly name: string; readonly value: string }[];
  /** `schema.name` of tables known to be touched directly, by cascade and so on: where capture starts. */
  readonly tables: readonly string[];
  /** Objects whose definitions make up the base state. */
  readonly baseObjects: readonly string[];
  /** Set when the analysis already knows that it must not be tried (not transactional, unknown code): the reason. */
  readonly untriable?: string;
  readonly bounds: MeasureBounds;
  readonly signal?: AbortSignal;
  /** Set when the analysis knows that no value can differ from run to run: then one run says it all. */
  readonly repeatable?: true;
  /** Told when the statements are about to be run. */
  readonly onTrial?: (trial: 'first' | 'second') => void;
}

export interface MeasureBounds {
  readonly statementTimeoutMs: number;
  readonly lockTimeoutMs: number;
  /** The dry run is ended when it has kept anybody else waiting this long. */
  readonly blockingToleranceMs: number;
  /** More captured rows than this and the dry run is ended as unmeasurable. */
  readonly maxRows: number;
}

export interface Measured {
  readonly measurement: Measurement;
  readonly baseState: Digest;
  readonly identity: TargetIdentity;
  /** The database's own error, when the statements fail: then there is nothing to plan. */
  readonly failure?: DatabaseFailure;
  /** The table that the error is about, `schema.name`, where the database says it. */
  readonly failedOn?: string;
  /** Of an undo: what stands in its way, row by row. Then it is not measured. */
  readonly conflicts?: readonly string[];
  /** Of an undo: rows that it leaves, because somebody has changed them since. */
  readonly newer?: readonly string[];
  /** What the database answered on trial, one for each statement; empty where they were not tried. */
  readonly answers: readonly StatementAnswer[];
}

export interface ApplyRequest {
  readonly plan: PlanId;
  readonly statements: readonly Statement[];
  /** What is taken back, in place of statements that are run. */
  readonly undo?: UndoOf;
  /** The drop of whose quarantine is let go, in place of statements that are run. */
  readonly purge?: string;
  /** The statements only drop things: where nobody could try them, they go into quarantine if that can be. */
  readonly quarantine?: { readonly keepMs: number };
  readonly settings: readonly { readonly name: string; readonly value: string }[];
  readonly tables: readonly string[];
  readonly baseObjects: readonly string[];
  readonly baseState: Digest;
  readonly identity: TargetIdentity;
  /** The approved measurement. When it is `measured: false` there is no effect to compare with; the base state still must match. */
  readonly approved: Measurement;
  readonly bounds: MeasureBounds;
  /** Rows of writes within limits are kept: tables that the plan makes get what that takes. */
  readonly keepsWrites?: boolean;
  /** The single statement can't run inside a transaction. */
  readonly outsideTransaction: boolean;
  /**
   * Called inside the transaction, after the effect was compared and before COMMIT, with the transaction's id: what must
   * be durable before the effect is (G7). When it throws, the transaction is rolled back.
   */
  readonly beforeCommit: (transaction: {
    readonly xid: string;
    readonly effect: MeasuredEffect | null;
    /** What it makes of definitions; empty where that shows only afterwards. */
    readonly moves: readonly DefinitionMove[];
  }) => Promise<void>;
  /** Aborted when it must stop: then it is cancelled and rolled back, unless it has begun to commit. */
  readonly signal?: AbortSignal;
}

export type ApplyOutcome =
  | {
      readonly outcome: 'applied';
      readonly xid: string;
      readonly effect: MeasuredEffect | null;
      /** One for each statement. */
      readonly answers: readonly StatementAnswer[];
      /** What it has made of definitions, where that was not known before it took effect. */
      readonly moves?: readonly DefinitionMove[];
    }
  /** It was in the target already: applied once, by somebody else or before a crash. */
  | { readonly outcome: 'already applied' }
  /** The target is no longer as it was approved. Nothing was changed. */
  | { readonly outcome: 'stale'; readonly changed: readonly string[] }
  /** The database refused the statement. Nothing was changed, unless it ran outside of a transaction and came half-way. */
  | { readonly outcome: 'failed'; readonly failure: DatabaseFailure; readonly halfWay?: true }
  /** Nothing was changed and nothing is wrong with the plan: it can be tried again. */
  | { readonly outcome: 'not applied'; readonly why: string }
  /** The answer to COMMIT was lost; `appliedState` may tell later. Never tried again by itself. */
  | { readonly outcome: 'indeterminate'; readonly why: string };

export type AppliedState = 'applied' | 'not applied' | 'in progress';

export type { DatabaseFailure };

import type { BranchDifference, OpenBranch } from '../domain/branch.ts';
import type { ChangeTime } from '../domain/change-time.ts';
import type { DatabaseFailure } from '../domain/database-failure.ts';
import type { Decision, Obligation } from '../domain/decision.ts';
import type { Analysis, TableEffect } from '../domain/effect.ts';
import type { ActorId, Instant, PlanId, TargetId, TaskId } from '../domain/ids.ts';
import type { Channel, Statement } from '../domain/intent.ts';
import type { PlanRecord } from '../domain/plan.ts';
import type { Refusal } from '../domain/refusal.ts';
import type { ScramVerifier } from '../domain/scram.ts';
import type { FoundSecrets } from '../domain/secrets.ts';
import type { StatementAnswer } from '../domain/statement-answer.ts';
import type { TargetRadius, Task, TaskLimits, TaskState } from '../domain/task.ts';
import type { Catalogue } from '../engines/catalogue.ts';
import type {
  HealthCheck,
  HealthReport,
  IndexAdviceReply,
  StatementOrder,
  StatementStatistics,
} from '../engines/health.ts';
import type { ChangeFacts } from './change-facts.ts';
import type { Watch } from './watch.ts';

/** What a channel sees of Countersign. A channel translates to and from this, and holds no rule of its own. */
export interface Gateway {
  /** Opens a task within the agent's role. The token is shown once and kept only as a verifier. */
  openTask(request: OpenTaskRequest): Promise<OpenedTask | Refused>;
  closeTask(task: TaskId, by: ActorId): Promise<void>;
  /** The open task that a bearer token speaks for; `undefined` when the token is unknown, its task over, or closed. */
  taskByToken(token: string): Promise<Task | undefined>;
  /** The agent that an agent's own long-lived token, or a token of its platform, speaks for: it may open tasks, nothing else. */
  agentByToken(token: string): Promise<ActorId | undefined>;
  /** What SCRAM-SHA-256 needs to check a task's token without knowing it (RFC 5802 §3); `undefined` for an unknown or ended task. */
  scramVerifier(task: string): Promise<ScramVerifier | undefined>;

  /** A session of one task on one target. Each has database connections of its own; close it. */
  openSession(task: Task, target: TargetId, channel: Channel): Promise<Session | Refused>;

  targets(task: Task | ActorId): readonly TargetSummary[];
  /** The catalogue as far as the task's radius reaches: relations it may read and functions its patterns name, without what is the system's. */
  visibleCatalogue(task: Task, target: TargetId): Promise<Catalogue | Refused>;

  /** How a target does: figures of the server, and findings about relations that the task may read. Changes nothing. */
  health(
    task: Task,
    target: TargetId,
    request: { readonly checks: readonly HealthCheck[]; readonly signal?: AbortSignal },
  ): Promise<readonly HealthReport[] | Refused>;
  /** The costliest statements of a target, whoever sent them, of which every object may be read by the task. */
  costliestStatements(
    task: Task,
    target: TargetId,
    request: { readonly order: StatementOrder; readonly limit: number },
  ): Promise<CostliestStatements | Refused>;

  plan(id: string): Promise<PlanView | undefined>;
  plans(filter: { readonly task?: TaskId; readonly limit: number }): Promise<readonly PlanView[]>;
  /** Applies an approved plan exactly once. An agent may ask this only for a plan of its own task. */
  applyPlan(id: PlanId, by: { readonly task: Task } | { readonly person: ActorId }): Promise<ApplyReply>;
  /** What plans of a task have changed, the newest first. */
  changes(filter: { readonly task: TaskId; readonly limit: number }): Promise<readonly ChangeView[]>;
  /** Makes the plan that takes a change of the task back. */
  undoChange(request: {
    readonly change: string;
    readonly task: Task;
    readonly keepNewer: boolean;
  }): Promise<{ readonly plan: PlanView } | Refused>;

  /** Makes a shadow copy of a target for the task. */
  createBranch(request: {
    readonly task: Task;
    readonly target: TargetId;
    readonly onProgress: (said: string) => void;
  }): Promise<{ readonly branch: OpenBranch } | Refused>;
  /** What a branch of the task has otherwise than its target had. */
  branchDifference(request: {
    readonly task: Task;
    readonly branch: TargetId;
    readonly onProgress: (said: string) => void;
  }): Promise<{ readonly difference: BranchDifference } | Refused>;
  /** Makes the plan that brings it into the target. */
  submitBranch(request: {
    readonly task: Task;
    readonly branch: TargetId;
    readonly keepNewer: boolean;
    readonly onProgress: (said: string) => void;
  }): Promise<{ readonly plan: PlanView } | Refused>;
  dropBranch(request: { readonly task: Task; readonly branch: TargetId }): Promise<Refused | undefined>;

  status(task: Task): Promise<TaskStatus>;
}

/** Refused, with the reason: an answer, not an exception. */
export interface Refused {
  readonly refused: Refusal;
}

export interface OpenTaskRequest {
  readonly agent: ActorId;
  readonly openedBy: ActorId;
  readonly onBehalfOf?: ActorId;
  readonly channel: Channel;
  readonly purpose: string;
  readonly radius: readonly TargetRadius[];
  readonly limits: Partial<TaskLimits>;
  readonly lifetimeMs: number;
}

export interface OpenedTask {
  readonly task: Task;
  readonly token: string;
}

/** A session that a channel drives with whole statements. The wire channel uses `execution/session.ts` beneath it, byte by byte. */
export interface Session {
  readonly task: Task;
  /**
   * Runs one statement to its end and collects what it returns, up to the bounds. Called off, it is stopped in the
   * database; what was not yet committed takes no effect, and no plan is made.
   */
  run(statement: Statement, bounds: ResultBounds, watch?: Watch): Promise<StatementReply>;
  /** What would happen, without running anything: the analysis and the decision. */
  explain(statement: Statement): Promise<{ readonly analysis: Analysis; readonly decision: Decision } | Refused>;
  /** Which indexes would make a query cheaper. Nothing is built or run. */
  adviseIndexes(query: string): Promise<IndexAdviceReply | Refused | { readonly failure: DatabaseFailure }>;
  close(): Promise<void>;
}

export interface ResultBounds {
  readonly maxRows: number;
  readonly maxBytes: number;
}

export type StatementReply = (
  | {
      readonly reply: 'rows';
      readonly command: string;
      readonly columns: readonly { readonly name: string; readonly type: string }[];
      /** Values in the database's text form. */
      readonly rows: readonly (readonly (string | null)[])[];
      /** There were more rows than the bounds let through. */
      readonly truncated: boolean;
      readonly notices: readonly string[];
    }
  | {
      readonly reply: 'done';
      readonly command: string;
      readonly rows: number | null;
      readonly notices: readonly string[];
      /** For a write: what it was measured to have done before it was committed. */
      readonly effect?: { readonly tables: readonly TableEffect[] };
    }
  | { readonly reply: 'refused'; readonly refusal: Refusal; readonly plan?: PlanView }
  | { readonly reply: 'failed'; readonly failure: DatabaseFailure }
) & {
  /** What looked like secrets in it, where the target says that it is to be looked for. */
  readonly secrets?: { readonly found: readonly FoundSecrets[]; readonly redacted: boolean };
};

export interface TargetSummary {
  readonly target: TargetId;
  readonly environment: string;
  readonly tier: string;
  readonly owner: string;
  readonly engine: string;
  readonly halted: boolean;
}

export type CostliestStatements =
  | {
      /** Since when the server has counted. */
      readonly since: string | null;
      readonly statements: readonly (StatementStatistics & { readonly text: string })[];
      /** How many costlier ones touch what the task may not see. */
      readonly leftOut: number;
    }
  | { readonly unavailable: string; readonly advice: string };

/** A plan as shown: what it is, where it stands, what it waits for. */
export interface PlanView extends PlanRecord {
  readonly approvals: readonly {
    readonly person: ActorId;
    /** In whose place they decided; left out where it was their own word. */
    readonly inPlaceOf?: ActorId;
    /** It is an approval agent and no person: who answers for it. */
    readonly agentOf?: ActorId;
    readonly at: Instant;
    readonly reason: string;
    /** The gateway has seen them click, and they have signed nothing. */
    readonly via?: 'slack';
  }[];
  /** How many more people must countersign. */
  readonly approvalsMissing: number;
  /** Who acts on it alone in an emergency; left out where nobody does. */
  readonly glass?: {
    readonly incident: string;
    readonly person: ActorId;
    readonly standsInFor: readonly string[];
    readonly reason: string;
    readonly until: Instant;
    readonly reviewedBy: ActorId | null;
  };
  /** Who can countersign it; who asked for it can't. */
  readonly canDecide: readonly ActorId[];
  /** What it waits for besides people, as policy and time stand now: empty when it could be applied once approved. */
  readonly waitsFor: readonly Obligation[];
  /** When this was so; by the gateway's clock. */
  readonly seenAt: Instant;
  /** The command with which a person looks at it and decides. */
  readonly decideWith: string;
}

/** What has taken effect, and whether it still stands. */
export interface ChangeView extends Omit<ChangeFacts, 'record'> {
  /** What it has changed, a table a line. */
  readonly effect: readonly string[];
  /** `null` for a write within limits. */
  readonly plan: PlanView | null;
  /** The plan that has taken it back, unless that was taken back in turn. */
  readonly undoneBy: PlanId | null;
  /** What it has dropped and is kept in quarantine; when that was brought back, `undoneBy` says so. */
  readonly kept: { readonly until: Instant; readonly due: boolean; readonly bytes: number } | null;
}

export type ApplyReply =
  | {
      readonly reply: 'applied';
      readonly plan: PlanView;
      readonly already: boolean;
      /** What the database answered to each statement; empty where that was not heard. */
      readonly answers: readonly StatementAnswer[];
    }
  | { readonly reply: 'refused'; readonly refusal: Refusal; readonly plan?: PlanView };

/** The newest configuration or policies are wrong: what was in force before still is. */
export interface ReloadStatus {
  readonly failed: true;
  /** By file, line and key. */
  readonly why: string;
  readonly since: Instant;
}

export interface TaskStatus {
  readonly task: Task;
  readonly state: TaskState;
  readonly rowsUsed: number;
  readonly halted: readonly {
    readonly scope: string;
    readonly reason: string;
    readonly by: string;
    readonly at: Instant;
  }[];
  /** Whether now is a time to change them: the environments of the task's targets. */
  readonly times: readonly { readonly environment: string; readonly time: ChangeTime }[];
  readonly seenAt: Instant;
  readonly reload: ReloadStatus | null;
  /** The newest ones, newest first. */
  readonly plans: readonly PlanView[];
  readonly morePlans: boolean;
}

/** What is looked at when one asks how a database does. */
export const HEALTH_CHECKS = [
  'server',
  'connections',
  'cache',
  'replication',
  'extensions',
  'vacuum',
  'indexes',
  'constraints',
  'sequences',
  'security',
] as const;
export type HealthCheck = (typeof HEALTH_CHECKS)[number];

/** From the least to the worst. */
export const SEVERITIES = ['ok', 'notice', 'warning', 'critical'] as const;
export type Severity = (typeof SEVERITIES)[number];

export interface HealthFinding {
  readonly severity: Severity;
  /** `schema.name` of what it is about, or `null` for the server as a whole. */
  readonly subject: string | null;
  /** What was seen, with its figures. */
  readonly fact: string;
  /** What helps; `null` where nothing needs to be done. */
  readonly advice: string | null;
}

export interface HealthRequest {
  readonly checks: readonly HealthCheck[];
  /** `schema.name` of the relations that may be told of; of all others nothing is said. */
  readonly relations: readonly string[];
  readonly signal?: AbortSignal;
}

export interface HealthReport {
  readonly check: HealthCheck;
  /** The worst first; empty where there is nothing to tell. */
  readonly findings: readonly HealthFinding[];
  /** Why it could not be looked at. */
  readonly unavailable?: string;
}

/** By what the costliest statements are chosen. */
export const STATEMENT_ORDERS = [
  'total time',
  'mean time',
  'calls',
  'rows',
  'blocks read',
  'temporary blocks',
] as const;
export type StatementOrder = (typeof STATEMENT_ORDERS)[number];

/** One normalised statement with what the server has counted of it. */
export interface StatementStatistics {
  /** Constants stand as $1, $2 …; `null` where the server doesn't show it. */
  readonly text: string | null;
  readonly calls: number;
  readonly totalMs: number;
  readonly meanMs: number;
  readonly maxMs: number;
  readonly rows: number;
  readonly blocksHit: number;
  readonly blocksRead: number;
  readonly temporaryBlocks: number;
}

export type StatementStatisticsReply =
  | { readonly since: string | null; readonly statements: readonly StatementStatistics[] }
  /** The server doesn't count statements, or doesn't show what it counted: why, and what helps. */
  | { readonly unavailable: string; readonly advice: string };

/** An index that would make a query cheaper, by the planner's own reckoning. */
export interface IndexAdvice {
  readonly statement: string;
  readonly table: string;
  readonly columns: readonly string[];
  /** The plan's cost if the index were there. */
  readonly costWith: number;
  /** What it would take, estimated. */
  readonly sizeBytes: number;
}

export type IndexAdviceReply =
  | {
      /** The plan's cost as things are. */
      readonly cost: number;
      /** How many indexes were tried. */
      readonly tried: number;
      /** The most helpful first. */
      readonly advice: readonly IndexAdvice[];
    }
  | { readonly unavailable: string; readonly advice: string };

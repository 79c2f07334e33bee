import type { HealthCheck, HealthFinding } from '../../health.ts';

/** One question about a database's health: what it asks, and what the answer means. */
export interface Check {
  readonly check: HealthCheck;
  /** Where it looks at relations, `$1` holds the names of those that may be told of. */
  readonly sql: string;
  readonly ofRelations: boolean;
  readonly findings: (rows: readonly Row[]) => readonly HealthFinding[];
}

/** Numbers come as text where they may be beyond 2^53. */
export type Row = Readonly<Record<string, string | number | boolean | null>>;

export function number(row: Row, column: string): number {
  return Number(row[column] ?? 0);
}

export function text(row: Row, column: string): string {
  return String(row[column] ?? '');
}

export function percent(part: number, whole: number): string {
  return `${whole === 0 ? 0 : Math.round((1000 * part) / whole) / 10} %`;
}

export function megabytes(bytes: number): string {
  return `${Math.round(bytes / 1024 / 102.4) / 10} MB`;
}

export function duration(seconds: number): string {
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  return seconds < 172_800 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86_400)} days`;
}

/** How bad it is. `unknown`: it could not be looked at, and nobody should take it for well. */
export const VERDICTS = ['fail', 'warn', 'unknown', 'ok'] as const;
export type Verdict = (typeof VERDICTS)[number];

/** What one check came to. Never holds a secret: only where one is. */
export interface Finding {
  /** Stable, for scripts: `roles.superuser`. */
  readonly id: string;
  /** What was looked at: `target rental-production`, `gateway`, `environment`. */
  readonly subject: string;
  readonly verdict: Verdict;
  /** What was found, in one line. */
  readonly found: string;
  /** What it could lead to. */
  readonly why: string;
  /** Exactly what to do: SQL or a command; `null` where nothing is to be done. */
  readonly fix: string | null;
}

/** Findings of one subject: what is wrong, or that it is well. */
export function findingsOf(subject: string) {
  return {
    ok: (id: string, found: string): Finding => ({ id, subject, verdict: 'ok', found, why: '', fix: null }),
    bad: (verdict: Exclude<Verdict, 'ok'>, id: string, rest: Omit<Finding, 'id' | 'subject' | 'verdict'>): Finding => ({
      id,
      subject,
      verdict,
      ...rest,
    }),
  };
}

/** Enough names to know what is meant, and how many more there are. */
export function some(names: readonly string[], most = 5): string {
  const more = names.length - most;
  return more > 0 ? `${names.slice(0, most).join(', ')} and ${more} more` : names.join(', ');
}

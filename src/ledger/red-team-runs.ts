import { z } from 'zod';
import type { Entry } from '../domain/entry.ts';
import type { Ledger } from './ledger.ts';

/** A run of the red team against the whole of a set-up, as the ledger keeps it: what got through, what was refused. */
export interface RedTeamRun {
  readonly target: string;
  readonly startedAt: string;
  /** How many were tried. */
  readonly attacks: number;
  readonly harmless: number;
  /** Attacks that got through, and harmless work that was refused, by their ids. */
  readonly through: readonly string[];
  readonly refused: readonly string[];
  /** Those that are not in the run before; `null` where nothing got worse. */
  readonly worse: Worse | null;
}

export interface Worse {
  /** When the run before began. */
  readonly since: string;
  readonly through: readonly string[];
  readonly refused: readonly string[];
}

const ids = z.array(z.string());
const runSchema = z.object({
  target: z.string(),
  startedAt: z.string(),
  attacks: z.number(),
  harmless: z.number(),
  through: ids,
  refused: ids,
  worse: z.object({ since: z.string(), through: ids, refused: ids }).nullable(),
}) satisfies z.ZodType<RedTeamRun>;

/** The run as an entry, but for its time. */
export function redTeamFact(run: RedTeamRun): Pick<Entry, 'subject' | 'body'> & { readonly kind: 'red team' } {
  return { kind: 'red team', subject: subjectOf(run.target), body: runSchema.parse(run) };
}

/** The newest run against a target; undefined where there was none. */
export async function lastRedTeamRun(ledger: Pick<Ledger, 'entries'>, target: string): Promise<RedTeamRun | undefined> {
  const [found] = await ledger.entries({ kind: 'red team', subject: subjectOf(target), limit: 1 });
  return found === undefined ? undefined : runSchema.parse(found.entry.body);
}

/** Entries are found by how their subject begins, and one target's name may begin like another's. */
function subjectOf(target: string): string {
  return `${target}/redteam`;
}

import { z } from 'zod';
import type { IndexAdvice, IndexAdviceReply } from '../../health.ts';
import type { EngineSession, OwnResult } from '../../session.ts';
import { quoteIdentifier, quoteLiteral } from '../quote.ts';
import { type IndexCandidate, indexCandidates, type PlanNode } from './index-candidates.ts';

/** What an index must save of a plan's cost to be worth a word. */
const MIN_SAVING = 0.1;
const MAX_ADVICE = 5;

/**
 * Finds out which indexes would make a query cheaper, by letting the planner believe that they are there (hypopg): nothing
 * is built, nothing is run, and what it is made to believe ends with this call.
 *
 * @param session runs under the task's own login, outside of transactions.
 * @param text one statement that reads, and calls only what the server itself brings: planning it runs no code of users.
 * @throws EngineFailure when the database can't plan it.
 */
export async function adviseIndexes(session: EngineSession, text: string): Promise<IndexAdviceReply> {
  const [installed] = await session.own(
    "SELECT n.nspname FROM pg_catalog.pg_extension AS e JOIN pg_catalog.pg_namespace AS n ON n.oid = e.extnamespace WHERE e.extname = 'hypopg'",
  );
  const schema = installed?.rows[0]?.[0];
  if (schema == null) return NOT_INSTALLED;
  const hypopg = quoteIdentifier(schema);
  const trial = trialOf(text);
  try {
    const root = planOf((await session.own(...trial.begin, trial.explain)).at(-1));
    const cost = costOf(root);
    const candidates = indexCandidates(root);
    const advice: IndexAdvice[] = [];
    for (const candidate of candidates) {
      const definition = definitionOf(candidate);
      const [, size, , tried] = await session.own(
        `SELECT ${hypopg}.hypopg_create_index(${quoteLiteral(`CREATE INDEX ON ${definition}`)})`,
        `SELECT sum(${hypopg}.hypopg_relation_size(indexrelid))::text FROM ${hypopg}.hypopg()`,
        'DISCARD PLANS',
        trial.explain,
        `SELECT ${hypopg}.hypopg_reset()`,
      );
      const costWith = costOf(planOf(tried));
      if (costWith > (1 - MIN_SAVING) * cost) continue;
      advice.push({
        statement: `CREATE INDEX CONCURRENTLY ON ${definition}`,
        table: `${candidate.schema}.${candidate.table}`,
        columns: candidate.columns,
        costWith,
        sizeBytes: Number(size?.rows[0]?.[0] ?? 0),
      });
    }
    advice.sort((a, b) => a.costWith - b.costWith || a.columns.length - b.columns.length);
    return { cost, tried: candidates.length, advice: advice.slice(0, MAX_ADVICE) };
  } finally {
    if (!session.closed) await session.own(`SELECT ${hypopg}.hypopg_reset()`, ...trial.end);
  }
}

/**
 * How to have a statement planned again and again. As the server counts them statements hold $1 where a constant was:
 * then the plan is the one for any value.
 */
function trialOf(text: string) {
  const places = [...text.matchAll(/\$(\d+)/g)].map(([, place]) => Number(place));
  if (places.length === 0) return { begin: [], explain: `EXPLAIN (VERBOSE, FORMAT JSON) ${text}`, end: [] };
  const values = Array.from({ length: Math.max(...places) }, () => 'NULL').join(', ');
  return {
    begin: ['SET plan_cache_mode = force_generic_plan', `PREPARE countersign_advice AS ${text}`],
    explain: `EXPLAIN (VERBOSE, FORMAT JSON) EXECUTE countersign_advice (${values})`,
    end: ['DEALLOCATE ALL', 'RESET plan_cache_mode'],
  };
}

function definitionOf({ schema, table, columns }: IndexCandidate): string {
  return `${quoteIdentifier(schema)}.${quoteIdentifier(table)} (${columns.map(quoteIdentifier).join(', ')})`;
}

const EXPLAINED = z.tuple([z.looseObject({ Plan: z.custom<PlanNode>((plan) => typeof plan === 'object') })]);

function planOf(explained: OwnResult | undefined): PlanNode {
  return EXPLAINED.parse(JSON.parse(explained?.rows[0]?.[0] ?? ''))[0].Plan;
}

function costOf(node: PlanNode): number {
  return Number(node['Total Cost']);
}

const NOT_INSTALLED: IndexAdviceReply = {
  unavailable: 'The extension hypopg is not installed in this database, so no index can be tried without building it.',
  advice:
    'A person installs it (Debian: postgresql-<version>-hypopg) and runs CREATE EXTENSION hypopg; it needs no restart. Until then read the plan: EXPLAIN through execute_sql.',
};

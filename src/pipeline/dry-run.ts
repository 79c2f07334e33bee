import { affectedTables, baseObjects } from '../analysis/affected-objects.ts';
import { isRepeatable } from '../analysis/repeatable.ts';
import { runsOwnCode } from '../analysis/runs-own-code.ts';
import type { Analysis } from '../domain/effect.ts';
import type { Statement } from '../domain/intent.ts';
import type { Measured } from '../engines/engine.ts';
import { quoteIdentifier } from '../engines/postgres/quote.ts';
import type { WrittenStatement } from '../execution/transaction.ts';
import type { GovernedTarget } from './governed-target.ts';
import { hideFailingRow } from './hide-failing-row.ts';
import { quarantineFor } from './quarantine-for.ts';
import type { Wish } from './waiting-plans.ts';
import type { Step, Watch } from './watch.ts';

/** Tries writes on the target under its bounds, and takes them back (G2). What they fail by is told as the task may hear it. */
export async function dryRun(
  target: GovernedTarget,
  {
    task,
    writes,
    settings,
    watch,
  }: Pick<Wish, 'task' | 'writes' | 'settings'> & { readonly watch?: Watch | undefined },
): Promise<Measured> {
  const analyses = writes.map((write) => write.analysis);
  const catalogue = target.catalogue();
  const untriable = analyses.map(whyUntriable).find((why) => why !== undefined) ?? runsOwnCode(writes, catalogue);
  const measured = await target.engine.measure({
    statements: writes.map(triedAs),
    settings,
    tables: [...new Set(analyses.flatMap((analysis) => affectedTables(analysis, catalogue)))],
    baseObjects: [...new Set(analyses.flatMap((analysis) => baseObjects(analysis)))],
    ...(untriable === undefined ? {} : { untriable }),
    ...quarantineFor(target, analyses),
    ...(writes.every((write) => isRepeatable(write.statement, write.analysis, catalogue))
      ? { repeatable: true as const }
      : {}),
    bounds: target.measureBounds,
    ...(watch === undefined ? {} : { signal: watch.signal, onTrial: (trial) => watch.step(TRIALS[trial]) }),
  });
  return hideFailingRow(measured, catalogue, target.reach(task));
}

const TRIALS = { first: 'dry run', second: 'second dry run' } as const satisfies Record<string, Step>;

/** A lock that others wait for has no rows to measure: to try it, that nobody waits for is taken in its place. */
function triedAs({ statement, analysis }: WrittenStatement): Statement {
  const locked = analysis.effects.filter(({ mode }) => mode !== undefined).map(({ object }) => object);
  if (locked.length === 0) return statement;
  const names = locked.map(({ schema, name }) => `${quoteIdentifier(schema)}.${quoteIdentifier(name)}`);
  return { text: `LOCK TABLE ${names.join(', ')} IN ACCESS SHARE MODE`, parameters: [] };
}

function whyUntriable(analysis: Analysis): string | undefined {
  if (analysis.class.kind === 'change' && !analysis.class.transactional) {
    return `${analysis.command} can't run inside a transaction, so it can't be tried and rolled back`;
  }
  const [first] = analysis.unknown;
  if (first !== undefined) return `its effect is not known: ${analysis.unknown.join(', ')}`;
  return undefined;
}

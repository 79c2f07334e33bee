import type { Analysis } from '../domain/effect.ts';
import { objectName } from '../domain/object.ts';
import type { Catalogue } from '../engines/catalogue.ts';
import type { HealthReport, HealthRequest, StatementOrder, StatementStatistics } from '../engines/health.ts';
import type { CostliestStatements } from './gateway.ts';
import type { GovernedTarget } from './governed-target.ts';

/** How a target does, told only of relations that the task sees. */
export function healthOf(
  target: GovernedTarget,
  visible: Catalogue,
  request: Omit<HealthRequest, 'relations'>,
): Promise<readonly HealthReport[]> {
  return target.engine.inspect({ ...request, relations: [...visible.relations.keys()] });
}

/**
 * The costliest statements, as far as the task may know them: a text is shown only if our own analysis finds that it
 * touches nothing but relations the task sees, its bare names understood as in a session that has set nothing. How many were left out is told, not what they are.
 */
export async function costliestStatements(
  target: GovernedTarget,
  visible: Catalogue,
  { order, limit }: { readonly order: StatementOrder; readonly limit: number },
): Promise<CostliestStatements> {
  const reply = await target.engine.statementStatistics(order);
  if ('unavailable' in reply) return reply;
  const shown: (StatementStatistics & { readonly text: string })[] = [];
  let leftOut = 0;
  for (const statement of reply.statements) {
    if (shown.length === limit) break;
    const { text } = statement;
    if (text !== null && staysWithin(target.analyse(text, []), visible)) shown.push({ ...statement, text });
    else leftOut++;
  }
  return { since: reply.since, statements: shown, leftOut };
}

/** What can't be parsed, touches nothing that we know of, or calls what we don't know, is not shown. */
function staysWithin(analysis: Analysis | { readonly sqlstate: string }, visible: Catalogue): boolean {
  if ('sqlstate' in analysis || analysis.effects.length === 0 || analysis.unknown.length > 0) return false;
  return analysis.effects.every(({ object }) => visible.relations.has(objectName(object)));
}

import { matchesPattern } from '../domain/scope.ts';
import type { Target } from '../domain/target.ts';
import type { Examination } from '../engines/postgres/examine.ts';
import { type Finding, findingsOf, some } from './finding.ts';
import type { Reach } from './grants.ts';

/** Whether writes within limits can be undone (G8), and which tables lack what keeps their rows. */
export function checkUndoOfWrites(
  target: Pick<Target, 'id' | 'keepsWrites'>,
  { relations }: Pick<Examination, 'relations'>,
  reach: Pick<Reach, 'write'>,
  initAgain: string,
): Finding {
  const { ok, bad } = findingsOf(`target ${target.id}`);
  if (target.keepsWrites !== true) {
    return bad('warn', 'undo.writes', {
      found: 'the rows of writes within limits are not kept',
      why: 'Such a write can’t be undone by Countersign; an applied plan can.',
      fix: `set targets.${target.id}.undo.writes to kept, then ${initAgain}`,
    });
  }
  const without = relations
    .filter(({ kind, kept }) => (kind === 'r' || kind === 'p') && !kept)
    .filter((table) => reach.write.some((pattern) => matchesPattern(table, pattern)))
    .map(({ schema, name }) => `${schema}.${name}`);
  if (without.length === 0) return ok('undo.writes', 'every table that tasks may write keeps what they write');
  return bad('warn', 'undo.writes', {
    found: `nothing keeps the rows of writes to ${some(without)}`,
    why: 'A write to them becomes a plan, so that it can be undone: it is slower, and returns no rows.',
    fix: initAgain,
  });
}

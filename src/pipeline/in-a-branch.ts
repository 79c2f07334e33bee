import type { Denied } from '../domain/decision.ts';
import type { Analysis, Effect } from '../domain/effect.ts';
import type { Digest } from '../domain/ids.ts';
import { objectName } from '../domain/object.ts';
import { visible } from '../domain/visible.ts';

/**
 * Denied in a branch, whatever policy says. What a task may see there is held by the names of columns, by rights and by
 * code that was looked at, and nobody looks at what is done in a branch before it counts. So rows are changed in it, tables
 * of its own made and dropped, and nothing else of the definitions.
 */
export function notInABranch(analysis: Analysis, policyDigest: Digest): Denied | undefined {
  const { effects, command, makesCode } = analysis;
  const beyond = effects.find((effect) => !(effect.verb === 'alter' ? command === 'CREATE INDEX' : isOfRows(effect)));
  if (makesCode !== true && beyond === undefined) return undefined;
  const what = beyond === undefined ? command : `${beyond.verb} ${objectName(beyond.object)}`;
  return {
    decision: 'deny',
    policies: [
      { policy: 'branch-of-rows', reason: visible(`In a branch nobody looks at this before it counts: ${what}.`) },
    ],
    instead:
      'Change rows there, and make tables of your own. What alters definitions, rights or code goes to the target itself, where it becomes a plan.',
    policyDigest,
  };
}

const OF_ROWS: ReadonlySet<Effect['verb']> = new Set([
  'read',
  'lock',
  'insert',
  'update',
  'delete',
  'truncate',
  'maintain',
]);
const OWN_KINDS: ReadonlySet<string> = new Set(['table', 'sequence', 'index']);

function isOfRows({ verb, object }: Effect): boolean {
  if (verb === 'create' || verb === 'drop') return OWN_KINDS.has(object.kind);
  // Policy and the database say no to these by themselves, with a better reason.
  return OF_ROWS.has(verb) || verb === 'unknown' || verb === 'server';
}

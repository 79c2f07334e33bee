import type { ServerFacts } from '../branches/branch-server.ts';
import { type Finding, findingsOf, some } from './finding.ts';
import type { Identified } from './identity.ts';

/** The server for branches of a target, as it answered; or why it didn't. */
export interface BranchServerLook {
  readonly target: string;
  readonly server: ServerFacts | string;
}

/**
 * Whether branches are made where nothing else is: what works there asks nobody.
 *
 * @param known ids of the branches there are; `null` where the state can't be read.
 */
export function checkBranches(
  looks: readonly BranchServerLook[],
  identified: readonly Identified[],
  known: ReadonlySet<string> | null,
): Finding[] {
  return looks.map(({ target, server }) => {
    const { ok, bad } = findingsOf(`branches of ${target}`);
    if (typeof server === 'string')
      return bad('unknown', 'branches.server', {
        found: server,
        why: 'No branch can be made, compared or dropped.',
        fix: `see that targets.${target}.branches names a superuser of a server that can be reached from here`,
      });
    const same = identified.find(({ identity }) => identity.systemIdentifier === server.cluster);
    if (same !== undefined)
      return bad('fail', 'branches.server', {
        found: `its server for branches is the cluster of the target ${same.target}`,
        why: 'Roles are shared there, and what works in a branch asks nobody. No branch is made.',
        fix: `let targets.${target}.branches name a server for nothing but branches`,
      });
    if (!server.superuser)
      return bad('fail', 'branches.server', {
        found: 'its login on the server for branches is no superuser',
        why: 'It can’t restore what belongs to others, so no branch is made.',
        fix: `let targets.${target}.branches.credentials name a superuser of that server, which is for nothing else`,
      });
    const left = known === null ? [] : server.branches.filter((name) => !known.has(name));
    if (left.length > 0)
      return bad('warn', 'branches.left', {
        found: `databases of branches that nobody knows of: ${some(left)}`,
        why: 'They are full copies of a target that no gateway drops: left by a crash, or another installation’s.',
        fix: `if they are nobody’s, on that server: ${left.map((name) => `DROP DATABASE "${name}"`).join('; ')};`,
      });
    return ok('branches.server', 'branches are made on a cluster of their own');
  });
}

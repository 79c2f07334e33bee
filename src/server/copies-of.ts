import { type BranchServer, branchCredentials, copyAsTarget } from '../branches/branch-server.ts';
import { compareCopies } from '../branches/compare-copies.ts';
import { dropCopy } from '../branches/drop-copy.ts';
import { makeCopy, shareCopy } from '../branches/make-copy.ts';
import type { ConfiguredTarget } from '../config/targets.ts';
import type { OpenBranch } from '../domain/branch.ts';
import type { Target } from '../domain/target.ts';
import type { TargetCredentials } from '../engines/engine.ts';
import type { BranchCopies } from '../pipeline/branches.ts';

/** How copies of a target are made where the configuration says. @returns undefined where it names no place. */
export function copiesOf({ target, branches }: ConfiguredTarget): BranchCopies | undefined {
  if (branches === null) return undefined;
  const { reader } = branches;
  const server = serverOf(branches);
  return {
    keepMs: branches.keepMs,
    most: branches.most,
    reuseMs: branches.reuseMs,
    share: (branch, from, onProgress) => shareCopy({ branch, server: server(), onProgress }, from),
    make: (branch, onProgress) =>
      makeCopy({
        branch,
        target,
        server: server(),
        reader: { user: reader.user, password: reader.password.reveal() },
        onProgress,
      }),
    compare: (branch, onProgress) => compareCopies(branch, { server: server(), of: target, onProgress }),
    drop: (branch, base) => dropCopy(server(), branch, base),
  };
}

/** A branch as an engine opens it: a target of its own. @returns undefined where its server is no longer configured. */
export function branchAsTarget(
  { id, copy }: OpenBranch,
  { target, branches }: ConfiguredTarget,
): { readonly target: Target; readonly credentials: TargetCredentials } | undefined {
  if (branches === null) return undefined;
  const server = serverOf(branches)();
  return {
    target: copyAsTarget(server, id, { id, identity: copy.identity, of: target }),
    credentials: branchCredentials(server),
  };
}

function serverOf({ endpoint, login }: NonNullable<ConfiguredTarget['branches']>): () => BranchServer {
  return () => ({ endpoint, login: { user: login.user, password: login.password.reveal() } });
}

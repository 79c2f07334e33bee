import { resolve } from 'node:path';
import type { FilesRead } from './files-read.ts';
import type { Problem, ProblemAt } from './parse-yaml.ts';
import type { ConfigDocument } from './schema.ts';

/** Under which the authorities of the state are kept; no target can have this name. */
export const STATE = '(state)';

/** Under which those of the server for a target's branches are kept. */
export function branchServerOf(target: string): string {
  return `(branches of ${target})`;
}

/** Reads the authorities that targets and the state name. @returns what can't be read. */
export function readAuthorities(
  value: ConfigDocument,
  directory: string,
  files: FilesRead,
  authorities: Map<string, string>,
  problem: ProblemAt,
): Problem[] {
  const named = Object.entries(value.targets).flatMap(([id, { address, branches }]) => [
    [id, address.authorities, ['targets', id, 'address', 'authorities']] as const,
    [branchServerOf(id), branches?.address.authorities, ['targets', id, 'branches', 'address', 'authorities']] as const,
  ]);
  const ofState = typeof value.state === 'string' ? undefined : value.state.authorities;
  return [...named, [STATE, ofState, ['state', 'authorities']] as const].flatMap(([id, file, path]) => {
    if (file === undefined) return [];
    try {
      authorities.set(id, files.text(resolve(directory, file)));
      return [];
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      return [problem(path, `can't be read: ${why}`)];
    }
  });
}

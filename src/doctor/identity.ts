import type { TargetIdentity } from '../domain/target.ts';
import { type Finding, findingsOf } from './finding.ts';

/** A target and who answered at its address. */
export interface Identified {
  readonly target: string;
  readonly environment: string;
  readonly identity: TargetIdentity;
}

/**
 * Environments that are not as separate as their names say (G9): a physical copy carries the system identifier of what it
 * was copied from, and so do two databases of one server.
 */
export function checkSeparation(identified: readonly Identified[]): Finding[] {
  return identified.flatMap((one, index) =>
    identified.slice(index + 1).flatMap((other) => {
      if (one.environment === other.environment) return [];
      if (one.identity.systemIdentifier !== other.identity.systemIdentifier) return [];
      const { bad } = findingsOf(`target ${one.target}`);
      const sameServer = one.identity.host === other.identity.host && one.identity.port === other.identity.port;
      return [
        bad(sameServer ? 'warn' : 'fail', 'identity.separation', {
          found: sameServer
            ? `${one.environment} and ${other.environment} (${other.target}) are databases of one server`
            : `${other.target} (${other.environment}) is a physical copy of it, or the same server: both are cluster ${one.identity.systemIdentifier}`,
          why: sameServer
            ? 'They share their roles, and what brings the one down brings down the other.'
            : 'They can’t be told apart: what is meant for the copy could reach the original.',
          fix: sameServer
            ? `move ${other.target} to a server of its own, then countersign init --database <its URL> --environment ${other.environment}`
            : `fill a newly initialised cluster with pg_dump and pg_restore, then countersign init --database <its URL> --environment ${other.environment}`,
        }),
      ];
    }),
  );
}

import { type ActorId, asId, type Digest, type EnvironmentId, type TargetId } from '../domain/ids.ts';
import { maskRule } from '../domain/masking.ts';
import type { Recurring } from '../domain/recurring.ts';
import type { Target } from '../domain/target.ts';
import { branchServerOf } from './authorities.ts';
import { backupOf, type ConfiguredBackup, recurringOf } from './backup.ts';
import { branchesOf, type ConfiguredBranches, endpointOf } from './branches.ts';
import type { ConfigDocument } from './schema.ts';
import { type Secret, secretReference } from './secret.ts';

export interface ConfiguredTarget {
  readonly target: Target;
  readonly session: { readonly user: string; readonly password: Secret };
  readonly apply: { readonly user: string; readonly password: Secret };
  /** `null` where backups are somebody else's. */
  readonly backup: ConfiguredBackup | null;
  /** `null` where no shadow copies are made of it. */
  readonly branches: ConfiguredBranches | null;
  /** When a gateway looks by itself whether the schema is as it is meant to be; `null`: never. */
  readonly drift: Recurring | null;
  /** Logins of others that have to be there, with what for. */
  readonly knownLogins: ReadonlyMap<string, string>;
}

export function targetOf(
  id: string,
  entry: ConfigDocument['targets'][string],
  directory: string,
  authorities: (name: string) => string | undefined,
): ConfiguredTarget {
  const login = ({ user, password }: { user: string; password: string }) => ({
    user,
    password: secretReference(password, directory),
  });
  return {
    target: {
      id: asId<TargetId>(id),
      engine: entry.engine,
      environment: asId<EnvironmentId>(entry.environment),
      owner: asId<ActorId>(entry.owner),
      endpoint: endpointOf(entry.address, authorities(id)),
      identity: asId<Digest>(entry.identity),
      maxSessions: entry.maxSessions,
      secrets: entry.secrets,
      keepsWrites: entry.undo.writes === 'kept',
      quarantineMs: entry.undo.quarantine,
      undoKept: { keepMs: entry.undo.keep, maxBytes: entry.undo.maxBytes },
      masks: Object.entries(entry.masks).map(([pattern, mask]) => maskRule(pattern, mask)),
    },
    session: login(entry.credentials.session),
    apply: login(entry.credentials.apply),
    backup: backupOf(entry, directory),
    branches: branchesOf(entry, directory, authorities(branchServerOf(id))),
    drift: recurringOf(entry.drift),
    knownLogins: new Map(Object.entries(entry.logins)),
  };
}

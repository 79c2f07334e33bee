import { resolve } from 'node:path';
import type { BackupMethod } from '../domain/backup.ts';
import type { TargetId } from '../domain/ids.ts';
import type { Recurring } from '../domain/recurring.ts';
import type { ConfigDocument } from './schema.ts';
import { type Secret, secretReference } from './secret.ts';

/** A place for backups, as `backups/open-store.ts` opens it. */
type ConfiguredStore =
  | { readonly directory: string }
  | { readonly keeper: string; readonly token: Secret }
  | {
      readonly s3: {
        readonly bucket: string;
        readonly region: string;
        readonly endpoint: string | undefined;
        readonly prefix: string;
        readonly credentials: { readonly accessKeyId: Secret; readonly secretAccessKey: Secret } | undefined;
      };
    }
  | {
      readonly restic: {
        readonly url: string;
        readonly password: Secret;
        readonly login: { readonly user: string; readonly password: Secret } | undefined;
      };
    };

/** Where the backups of a target lie, and who may read them. */
export interface ConfiguredBackup {
  readonly store: ConfiguredStore;
  /** May read everything, and nothing else: best a member of `pg_read_all_data`. `null` where drills alone are run. */
  readonly login: { readonly user: string; readonly password: Secret } | null;
  readonly recipients: readonly string[];
  /** For what is under way; `null` for a private directory of this account below the system's temporary one. */
  readonly workDirectory: string | null;
  readonly identity: Secret | null;
  readonly method: BackupMethod;
  readonly jobs: number;
  readonly probes: readonly { readonly name: string; readonly sql: string }[];
  /** When a gateway makes one by itself, and when it drills the newest; `null`: never. */
  readonly create: Recurring | null;
  readonly drill: Recurring | null;
}

/** The targets that have a store, and what of theirs is scheduled. */
export function backedUp(config: {
  readonly targets: ReadonlyMap<
    TargetId,
    { readonly target: { readonly id: TargetId }; readonly backup: ConfiguredBackup | null }
  >;
}): readonly { readonly target: TargetId; readonly create: Recurring | null; readonly drill: Recurring | null }[] {
  return [...config.targets.values()].flatMap(({ target, backup }) =>
    backup === null ? [] : [{ target: target.id, create: backup.create, drill: backup.drill }],
  );
}

/** @param directory what relative paths are relative to. */
export function backupOf(entry: ConfigDocument['targets'][string], directory: string): ConfiguredBackup | null {
  const { backup, credentials } = entry;
  if (backup === undefined) return null;
  const { store, recipients, identity, method, jobs, probes, workDirectory, create, drill } = backup;
  const login = credentials.backup;
  return {
    store: placeOf(store, directory),
    login: login === undefined ? null : { user: login.user, password: secretReference(login.password, directory) },
    recipients,
    workDirectory: workDirectory === undefined ? null : resolve(directory, workDirectory),
    identity: identity === undefined ? null : secretReference(identity, directory),
    method,
    jobs,
    probes: Object.entries(probes).map(([name, sql]) => ({ name, sql })),
    create: recurringOf(create),
    drill: recurringOf(drill),
  };
}

/** @returns `null` where nothing comes round by itself. */
export function recurringOf(
  entry: { every: number } | { cron: string; timeZone: string } | undefined,
): Recurring | null {
  if (entry === undefined) return null;
  return 'every' in entry ? { everyMs: entry.every } : entry;
}

function placeOf(
  store: NonNullable<ConfigDocument['targets'][string]['backup']>['store'],
  directory: string,
): ConfiguredStore {
  if ('directory' in store) return { directory: resolve(directory, store.directory) };
  if ('keeper' in store) return { keeper: store.keeper, token: secretReference(store.token, directory) };
  if ('restic' in store) {
    const { url, password, login } = store.restic;
    return {
      restic: {
        url,
        password: secretReference(password, directory),
        login:
          login === undefined ? undefined : { user: login.user, password: secretReference(login.password, directory) },
      },
    };
  }
  const { accessKeyId, secretAccessKey, bucket, region, endpoint, prefix = '' } = store.s3;
  return {
    s3: {
      bucket,
      region,
      endpoint,
      prefix,
      credentials:
        accessKeyId === undefined || secretAccessKey === undefined
          ? undefined
          : {
              accessKeyId: secretReference(accessKeyId, directory),
              secretAccessKey: secretReference(secretAccessKey, directory),
            },
    },
  };
}

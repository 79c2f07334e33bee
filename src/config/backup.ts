import { resolve } from 'node:path';
import type { ConfigDocument } from './schema.ts';
import { type Secret, secretReference } from './secret.ts';

/** Where the backups of a target lie, and who may read them. */
export interface ConfiguredBackup {
  readonly store: { readonly directory: string } | { readonly keeper: string; readonly token: Secret };
  /** May read everything, and nothing else: best a member of `pg_read_all_data`. `null` where drills alone are run. */
  readonly login: { readonly user: string; readonly password: Secret } | null;
  readonly recipients: readonly string[];
  readonly identity: Secret | null;
  readonly jobs: number;
  readonly probes: readonly { readonly name: string; readonly sql: string }[];
}

/** @param directory what relative paths are relative to. */
export function backupOf(entry: ConfigDocument['targets'][string], directory: string): ConfiguredBackup | null {
  const { backup, credentials } = entry;
  if (backup === undefined) return null;
  const { store, recipients, identity, jobs, probes } = backup;
  const login = credentials.backup;
  return {
    store:
      'directory' in store
        ? { directory: resolve(directory, store.directory) }
        : { keeper: store.keeper, token: secretReference(store.token, directory) },
    login: login === undefined ? null : { user: login.user, password: secretReference(login.password, directory) },
    recipients,
    identity: identity === undefined ? null : secretReference(identity, directory),
    jobs,
    probes: Object.entries(probes).map(([name, sql]) => ({ name, sql })),
  };
}

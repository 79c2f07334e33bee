import { type Finding, findingsOf } from './finding.ts';

/** A file or folder that the gateway rests on. */
export interface OwnFile {
  readonly path: string;
  /** `secret`: nobody else may read it; `rule`: nobody else may write it. */
  readonly kind: 'secret' | 'rule';
  /** Permission bits, or `null` when it isn't there. */
  readonly mode: number | null;
  readonly uid: number;
}

/** Keys, secrets and state that others could read; configuration and policies that others could write. */
export function checkFiles(files: readonly OwnFile[], ownUid: number): Finding[] {
  const { ok, bad } = findingsOf('files');
  const found = files.flatMap((file): Finding[] => {
    if (file.mode === null) {
      return [
        bad('fail', 'files.missing', {
          found: `${file.path} is not there`,
          why: 'The gateway does not start without it.',
          fix: 'bring it back from where you keep a copy',
        }),
      ];
    }
    const forbidden = file.kind === 'secret' ? 0o077 : 0o022;
    const wrong: Finding[] = [];
    if ((file.mode & forbidden) !== 0) {
      wrong.push(
        bad('fail', 'files.mode', {
          found: `${file.path} can be ${file.kind === 'secret' ? 'read' : 'changed'} by other users (${(file.mode & 0o777).toString(8)})`,
          why:
            file.kind === 'secret'
              ? 'Whoever reads it holds what the gateway holds.'
              : 'Whoever changes it changes what is allowed, and who decides.',
          fix: file.kind === 'secret' ? `chmod go= ${quoted(file.path)}` : `chmod go-w ${quoted(file.path)}`,
        }),
      );
    }
    if (file.uid !== ownUid && file.uid !== 0) {
      wrong.push(
        bad('fail', 'files.owner', {
          found: `${file.path} belongs to another user (uid ${file.uid})`,
          why: 'Its owner can change it, and let others.',
          fix: `chown ${ownUid} ${quoted(file.path)}`,
        }),
      );
    }
    return wrong;
  });
  return found.length > 0
    ? found
    : [ok('files', 'keys, secrets, state, configuration and policies are closed to other users')];
}

/** People's keys on the gateway's machine: an agent with a shell there could countersign with them. */
export function checkPeopleKeys(paths: readonly string[]): Finding[] {
  const { ok, bad } = findingsOf('files');
  if (paths.length === 0) return [ok('files.peopleKeys', 'no person’s key is on this machine')];
  return [
    bad('warn', 'files.peopleKeys', {
      found: `${paths.length === 1 ? 'the key of a person is' : 'keys of people are'} on the gateway’s machine: ${paths.join(', ')}`,
      why: 'Whoever reads it can countersign in that person’s name.',
      fix: 'move it to that person’s own machine, and approve there with --key <file>',
    }),
  ];
}

/** Places where something holds the credential of a backup store (G10). */
export function checkBackupCredentials(places: readonly string[]): Finding[] {
  const { ok, bad } = findingsOf('files');
  if (places.length === 0)
    return [ok('files.backups', 'no credential of a backup store is within the gateway’s reach')];
  return places.map((place) =>
    bad('fail', 'files.backups', {
      found: `${place} looks like a credential of a backup store`,
      why: 'Whoever takes over the gateway could delete the backups with the data.',
      fix: 'move it to a machine and a user that the gateway can’t reach, and make a new one there: this one may have been read',
    }),
  );
}

function quoted(path: string): string {
  return /^[\w./-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`;
}

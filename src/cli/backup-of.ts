import type { ConfiguredBackup } from '../config/backup.ts';
import type { ConfiguredTarget } from '../config/targets.ts';
import { asId, type TargetId } from '../domain/ids.ts';
import { RefusalError } from '../domain/refusal.ts';
import type { Countersign } from '../server/open-countersign.ts';

/** A target's configuration of backups. @throws RefusalError when it has none, or several have and none is named. */
export function backupOf(
  { config }: Countersign,
  named: string | undefined,
): { readonly configured: ConfiguredTarget; readonly backup: ConfiguredBackup } {
  const having = [...config.targets.values()].filter(({ backup }) => backup !== null);
  const configured =
    named === undefined ? (having.length === 1 ? having[0] : undefined) : config.targets.get(asId<TargetId>(named));
  if (configured?.backup != null) return { configured, backup: configured.backup };
  throw new RefusalError({
    refused: 'denied',
    message:
      named === undefined
        ? having.length === 0
          ? 'No target has a store for backups.'
          : `Several targets have backups: ${having.map(({ target }) => target.id).join(', ')}.`
        : configured === undefined
          ? `There is no target ${named}.`
          : `${named} has no store for backups.`,
    hint:
      having.length > 1
        ? 'Name one with --target.'
        : 'Say in the configuration where backups lie: targets.<name>.backup (docs/backups.md).',
  });
}

/** @throws RefusalError where this machine can't open backups, as a gateway best can't. */
export function identityOf(target: string, { identity }: ConfiguredBackup): string {
  if (identity !== null) return identity.reveal();
  throw new RefusalError({
    refused: 'denied',
    message: `Nothing here opens the backups of ${target}.`,
    hint: `Do this on the machine that has the key, and name it there: targets.${target}.backup.identity.`,
  });
}

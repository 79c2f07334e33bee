import { type Command, Option } from 'commander';
import pc from 'picocolors';
import { runDrill } from '../backups/drill.ts';
import { openStore } from '../backups/open-store.ts';
import type { Json } from '../domain/digest.ts';
import type { Countersign } from '../server/open-countersign.ts';
import { liveNodes } from '../store/nodes.ts';
import { putProvenBackup, removeProvenBackup } from '../store/proven-backups.ts';
import { backupNamed } from './backup-named.ts';
import { backupOf, identityOf } from './backup-of.ts';
import { seconds, tell } from './backup-texts.ts';
import { besideGateway } from './beside-gateway.ts';
import { type Answer, answerWith, type CommonOptions, operatingSystemUser, withCommonOptions } from './command.ts';
import { EXIT } from './exit.ts';
import { notify } from './notify.ts';

interface DrillOptions extends CommonOptions {
  readonly target?: string;
  readonly backup?: string;
  readonly besideGateway?: boolean;
}

/** Adds `countersign drill run`. */
export function registerDrill(program: Command): void {
  const drill = program.command('drill').description('restore a backup for the exercise: only that proves it');
  withCommonOptions(
    drill
      .command('run')
      .description('restore a backup into a scratch server and compare it by content (0 passed, 1 broken)'),
  )
    .option('--target <name>', 'of which target (default: the only one that has backups)')
    .option('--backup <id>', 'which (default: the newest)')
    .addOption(new Option('--beside-gateway').hideHelp())
    .action((options: DrillOptions) => {
      if (options.besideGateway === true) besideGateway();
      return answerWith(options, (countersign) => run(countersign, options), 'not needed');
    });
}

async function run(countersign: Countersign, options: DrillOptions): Promise<Answer> {
  const { configured, backup } = backupOf(countersign, options.target);
  const { target } = configured;
  const known = await backupNamed(countersign, target.id, options.backup);
  const result = await runDrill({
    store: openStore(backup.store),
    backup: { target: target.id, id: known.backup, digest: known.manifest },
    pinned: target.identity,
    identity: identityOf(target.id, backup),
    jobs: backup.jobs,
    workDirectory: backup.workDirectory,
    probes: backup.probes,
    onProgress: tell,
  });
  await countersign.proof.record({
    kind: 'drill',
    subject: known.backup,
    body: {
      backup: known.backup,
      target: target.id,
      manifest: known.manifest,
      outcome: result.passed ? 'passed' : 'failed',
      ...(result as unknown as { readonly [key: string]: Json }),
      by: operatingSystemUser(),
    },
    writes: [
      result.passed
        ? putProvenBackup(target.id, {
            backup: known.backup,
            at: known.at,
            drilledAt: countersign.proof.now(),
            recoveryMs: result.fetchMs + result.restoreMs,
          })
        : removeProvenBackup(target.id, known.backup),
    ],
  });
  if (!result.passed) {
    const failed = { target: target.id, backup: known.backup, owner: target.owner, problems: result.problems };
    countersign.log.error(failed, 'a drill failed: this backup would not bring the target back');
    // A gateway tells of it from the ledger; where none runs, nobody else would.
    const { store } = countersign;
    if ((await liveNodes(store, await store.nowMs())).length === 0)
      await notify(countersign.config, { type: 'drill.failed', data: failed });
  }
  return {
    json: { backup: known.backup, target: target.id, owner: target.owner, ...result },
    text: result.passed
      ? `${pc.green('The drill passed.')} ${known.backup} brings back ${result.rows} rows in ${result.tables} tables, to the last one.\n  Recovery took ${seconds(result.fetchMs + result.restoreMs)}: ${seconds(result.fetchMs)} to fetch, ${seconds(result.restoreMs)} to restore; comparing ${seconds(result.compareMs)} more.`
      : [
          `${pc.red('The drill FAILED.')} ${known.backup} would not bring ${target.id} back:`,
          ...result.problems.map((problem) => `  - ${problem}`),
          `→ ${target.owner} owns ${target.id}. Make another at once, and drill it: countersign backup create --target ${target.id}`,
        ].join('\n'),
    ...(result.passed ? {} : { exit: EXIT.refused }),
  };
}

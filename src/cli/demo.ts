import type { Command } from 'commander';
import pc from 'picocolors';
import { createNarrator } from '../demo/narrate.ts';
import { play } from '../demo/play.ts';
import { setStage } from '../demo/stage.ts';
import { EXIT } from './exit.ts';

interface DemoOptions {
  readonly exit?: boolean;
  readonly scale: string;
}

/** Adds `countersign demo`. */
export function registerDemo(program: Command): void {
  program
    .command('demo')
    .description('play an incident from end to end on real databases, then leave the gateway open')
    .option('--exit', 'end when it has been played')
    .option('--scale <factor>', 'size of the databases; 1 is about 200,000 rows', '1')
    .action(demo);
}

async function demo(options: DemoOptions): Promise<void> {
  const scale = Number(options.scale);
  if (!(scale >= 0.02 && scale <= 10)) {
    process.stderr.write(`--scale ${options.scale} is no number from 0.02 to 10.\n`);
    process.exitCode = EXIT.usage;
    return;
  }
  const startedMs = performance.now();
  const narrator = createNarrator((text) => process.stdout.write(text));
  narrator.title('Countersign: an agent meets a production database');
  narrator.say('Two real PostgreSQL servers start from npm; a car rental’s data is loaded …');
  const stage = await setStage(scale);
  const interrupted = new Promise<void>((resolve) => {
    // npm passes on a signal that the terminal has sent as well: the second one must not cut the ending short.
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => resolve());
  });
  try {
    const playing = play(stage, narrator);
    const played = await Promise.race([playing, interrupted.then(() => undefined)]);
    if (played === undefined) return;
    narrator.title(`Played in ${Math.round((performance.now() - startedMs) / 1000)} s. Everything above was real.`);
    if (options.exit === true) return;
    const login = await stage.command('console', 'login', '--as', 'ada', '--json');
    const { url } = JSON.parse(login.stdout) as { readonly url: string };
    process.stdout.write(
      [
        '',
        'The gateway stays open. See all of it in the browser, signed in as ada (the address is good once):',
        `  ${url}`,
        '',
        'Try it yourself, from another terminal:',
        `  psql '${played.task.postgres}'`,
        `  claude mcp add --transport http countersign ${played.served.mcp} --header 'Authorization: Bearer ${played.task.mcp.token}'`,
        `  cd ${stage.directory} && npx --prefix ${process.cwd()} countersign plan list`,
        '',
        pc.dim('Ctrl-C ends it and removes everything.'),
        '',
      ].join('\n'),
    );
    await interrupted;
  } finally {
    await stage.clear();
  }
}

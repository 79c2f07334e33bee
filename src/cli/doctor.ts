import { existsSync } from 'node:fs';
import type { Command } from 'commander';
import pc from 'picocolors';
import { defaultConfigFile } from '../config/load.ts';
import { diagnose, diagnoseEnvironment, type Surroundings } from '../doctor/diagnose.ts';
import type { Finding } from '../doctor/finding.ts';
import { renderFindings } from '../doctor/render.ts';
import { type Answer, answer, type CommonOptions, configOf, withCommonOptions } from './command.ts';
import { EXIT } from './exit.ts';

interface DoctorOptions extends CommonOptions {
  readonly asAgentHost?: boolean;
}

/** Adds `countersign doctor`: looks for what is commonly wrong, and says how to mend it. It changes nothing. */
export function registerDoctor(program: Command): void {
  withCommonOptions(
    program.command('doctor').description('look for what is commonly wrong, each with how to mend it; changes nothing'),
  )
    .option('--as-agent-host', 'look only for credentials that lead past the gateway, on a machine where agents work')
    .action((options: DoctorOptions) => answer(options, () => run(options)));
}

async function run(options: DoctorOptions): Promise<Answer> {
  const around: Surroundings = { env: process.env, directory: process.cwd(), nowMs: Date.now() };
  const findings =
    options.asAgentHost === true ? await onAgentHost(options, around) : await diagnose(await configOf(options), around);
  // Scripts read the text, too: colours only for eyes.
  const colors = pc.createColors(process.stdout.isTTY === true && !process.env['NO_COLOR']);
  return { json: { findings }, text: renderFindings(findings, colors), exit: exitOf(findings) };
}

/** An agent's machine has no configuration, and needs none: without one every credential is shown. */
async function onAgentHost(options: DoctorOptions, around: Surroundings): Promise<readonly Finding[]> {
  const known = options.config !== undefined || existsSync(defaultConfigFile());
  const targets = known ? [...(await configOf(options)).targets.values()] : [];
  return diagnoseEnvironment(targets, around, true);
}

function exitOf(findings: readonly Finding[]): number {
  if (findings.some(({ verdict }) => verdict === 'fail')) return EXIT.refused;
  return findings.some(({ id }) => id === 'target.reachable') ? EXIT.unavailable : EXIT.ok;
}

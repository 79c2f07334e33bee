import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { userInfo } from 'node:os';
import { dirname, join, relative, resolve } from 'node:path';
import { confirm, isCancel } from '@clack/prompts';
import type { Command } from 'commander';
import pc from 'picocolors';
import { type Config, loadConfig } from '../config/load.ts';
import { TIERS, type Tier } from '../domain/environment.ts';
import { asId, type TargetId } from '../domain/ids.ts';
import { RefusalError } from '../domain/refusal.ts';
import { identityDigest } from '../engines/postgres/connect.ts';
import { APPLY_ROLE, SESSION_ROLE, type SetupStatement } from '../engines/postgres/setup.ts';
import { openPostgresTarget } from '../engines/postgres/target.ts';
import { answer, type CommonOptions, UsageError, withCommonOptions } from './command.ts';
import { EXIT } from './exit.ts';
import { type Inspected, inspectDatabase, runSetup, setupOf } from './init-database.ts';
import {
  type Names,
  writeAgentToken,
  writeConfiguration,
  writeKeys,
  writeSampleTask,
  writeSecret,
} from './init-files.ts';

interface InitOptions extends CommonOptions {
  readonly database: string;
  readonly environment: string;
  readonly target?: string;
  readonly tier?: string;
  readonly owner?: string;
  readonly agent: string;
  readonly keepWrites: boolean;
  readonly yes?: boolean;
}

/** Adds `countersign init`: puts Countersign before a database. */
export function registerInit(program: Command): void {
  withCommonOptions(
    program.command('init').description('put Countersign before a database: roles, keys, configuration, policies'),
  )
    .requiredOption('--database <url>', 'the database, as its administrator; used now and not kept')
    .requiredOption('--environment <name>', 'the environment that it is in: production, staging …')
    .option('--target <name>', 'what it will be called (default: <database>-<environment>)')
    .option(
      '--tier <tier>',
      `what is at stake: ${TIERS.join(', ')} (default: by the environment’s name, else production)`,
    )
    .option('--owner <person>', 'who answers for it (default: you)')
    .option('--agent <name>', 'the first agent', 'migrator')
    .option('--no-keep-writes', 'lay no triggers: writes within limits can’t be undone then')
    .option('--yes', 'run the SQL without asking')
    .action((options: InitOptions) => answer(options, () => init(options)));
}

async function init(options: InitOptions) {
  const file = resolve(options.config ?? 'countersign.yaml');
  const directory = dirname(file);
  const existing = existsSync(file) ? await loadConfig(file) : undefined;
  const inspected = await inspectDatabase(options.database);
  try {
    const names = namesOf(options, inspected, existing);
    const passwords = passwordsOf(existing, inspected);
    const known = existing?.targets.get(asId<TargetId>(names.target))?.target;
    // What the configuration says of a target stands; what it doesn't know yet keeps its writes, unless told not to (G8).
    const keepWrites = known === undefined ? options.keepWrites : known.keepsWrites === true;
    const statements = await setupOf(inspected, passwords, keepWrites);
    if (!(await agreed(options, names, inspected, statements))) {
      return { json: { done: false }, text: 'Nothing was changed.', exit: EXIT.refused };
    }
    await runSetup(inspected, statements);
    if (existing?.targets.has(asId<TargetId>(names.target)) === true) return mended(existing, names.target);

    const secrets = {
      session: { user: SESSION_ROLE, file: join(directory, 'secrets', `${names.target}.session`) },
      apply: { user: APPLY_ROLE, file: join(directory, 'secrets', `${names.target}.apply`) },
    };
    const publicKey = await writeKeys(directory, names.owner);
    for (const purpose of ['session', 'apply'] as const) writeSecret(secrets[purpose].file, passwords[purpose]);
    const tokenFile = join(directory, 'keys', 'agents', `${names.agent}.token`);
    writeConfiguration(file, names, {
      inspected,
      publicKey,
      agentTokenHash: writeAgentToken(tokenFile),
      secrets,
      keepWrites,
    });
    const task = writeSampleTask(directory, names, inspected);
    await tryOut(await loadConfig(file), asId<TargetId>(names.target));
    return report({ file, names, task, tokenFile, inspected });
  } finally {
    await inspected.client.end();
  }
}

/** A target that is governed already: its roles, grants and schema are as they should be; the configuration stays as it is. */
async function mended(config: Config, target: string) {
  await tryOut(config, asId<TargetId>(target));
  return {
    json: { mended: target, config: config.file },
    text: `${pc.green('Done.')} The roles, grants and schema of ${target} are in place; the configuration was not changed.`,
  };
}

function namesOf(options: InitOptions, { endpoint, identity }: Inspected, existing: Config | undefined): Names {
  const target = options.target ?? `${endpoint.database}-${options.environment}`;
  const known = existing?.targets.get(asId<TargetId>(target))?.target;
  if (known !== undefined && known.identity !== identityDigest(identity)) {
    throw new UsageError(
      `There is a target ${target} already, and it is another database.`,
      'Name another with --target, or take that one out of the configuration first.',
    );
  }
  const tier = TIERS.find((known) => known === (options.tier ?? tierOf(options.environment)));
  if (tier === undefined) throw new UsageError(`There is no tier ${options.tier}.`, `There are ${TIERS.join(', ')}.`);
  const owner =
    options.owner ??
    [...(existing?.actors.values() ?? [])].find(({ kind }) => kind === 'person')?.id ??
    userInfo().username;
  return { target, environment: options.environment, tier, owner, agent: options.agent };
}

/** A name that says nothing known is taken for the tier where most is at stake. */
function tierOf(environment: string): Tier {
  if (/^(dev|development|local|test)$/i.test(environment)) return 'development';
  return /^(stag|staging|preprod|uat|qa)$/i.test(environment) ? 'staging' : 'production';
}

/** The roles belong to the whole cluster: another target of it that is governed already keeps working. */
function passwordsOf(existing: Config | undefined, { endpoint }: Inspected): { session: string; apply: string } {
  const sibling = [...(existing?.targets.values() ?? [])].find(
    ({ target }) => target.endpoint.host === endpoint.host && target.endpoint.port === endpoint.port,
  );
  if (sibling !== undefined)
    return { session: sibling.session.password.reveal(), apply: sibling.apply.password.reveal() };
  const secret = () => randomBytes(24).toString('base64url');
  return { session: secret(), apply: secret() };
}

async function agreed(
  options: InitOptions,
  names: Names,
  inspected: Inspected,
  statements: readonly SetupStatement[],
): Promise<boolean> {
  const { endpoint, serverVersion, tables } = inspected;
  const shown = [
    `${endpoint.host}:${endpoint.port}/${endpoint.database}: PostgreSQL ${serverVersion}, ${tables} tables, ${endpoint.tls === 'disable' ? 'no TLS' : `TLS (${endpoint.tls})`}`,
    `It becomes ${pc.bold(names.target)} in ${names.environment} (tier ${names.tier}), owned by ${names.owner}.`,
    '',
    'This SQL makes the roles through which it is governed:',
    '',
    ...statements.flatMap(({ sql, why }, index) => [
      ...(statements[index - 1]?.why === why ? [] : [pc.dim(`  -- ${why}`)]),
      `  ${sql
        .trim()
        .replaceAll('\n', '\n  ')
        .replace(/PASSWORD '[^']*'/, "PASSWORD '…'")};`,
    ]),
    '',
  ].join('\n');
  process.stderr.write(`${shown}\n`);
  if (options.yes === true) return true;
  if (!process.stdin.isTTY)
    throw new UsageError('Nobody is there to agree to the SQL.', 'Look at it, then run this again with --yes.');
  const sure = await confirm({
    message: `Run it on ${endpoint.host}:${endpoint.port}/${endpoint.database}?`,
    initialValue: false,
  });
  return !isCancel(sure) && sure;
}

/** Connects as the gateway will, with both credentials: what doesn't work is better known now. */
async function tryOut(config: Config, id: TargetId): Promise<void> {
  const configured = config.targets.get(id);
  if (configured === undefined) throw new Error(`${id} did not get into the configuration`);
  const credentials = {
    session: { user: configured.session.user, password: configured.session.password.reveal() },
    apply: { user: configured.apply.user, password: configured.apply.password.reveal() },
  };
  const engine = await openPostgresTarget({ target: configured.target, credentials, onTrouble: () => undefined });
  try {
    const probe = { statements: [{ text: 'SELECT 1', parameters: [] }], settings: [], tables: [], baseObjects: [] };
    const bounds = { statementTimeoutMs: 5000, lockTimeoutMs: 1000, blockingToleranceMs: 1000, maxRows: 1 };
    const { failure } = await engine.measure({ ...probe, bounds });
    if (failure !== undefined) {
      throw new RefusalError({
        refused: 'denied',
        message: `The target does not let plans be measured: ${failure.message}`,
        hint: 'The roles were made; see what the database says and run init again.',
      });
    }
  } finally {
    await engine.close();
  }
}

function report(made: {
  readonly file: string;
  readonly names: Names;
  readonly task: string;
  readonly tokenFile: string;
  readonly inspected: Inspected;
}) {
  const { file, names, task, tokenFile, inspected } = made;
  const here = (path: string) => relative(process.cwd(), path) || '.';
  const directory = dirname(file);
  const bridge = {
    mcpServers: { countersign: { command: 'npx', args: ['countersign', 'mcp', '--token-file', tokenFile] } },
  };
  const json = {
    config: file,
    target: names.target,
    environment: names.environment,
    tier: names.tier,
    owner: names.owner,
    agent: names.agent,
    identity: inspected.identity,
    task,
    personKey: join(directory, 'keys', 'people', `${names.owner}.key`),
    agentTokenFile: tokenFile,
    mcp: bridge,
  };
  const config = here(file) === 'countersign.yaml' ? '' : ` --config ${here(file)}`;
  const text = [
    `${pc.green('Done.')} ${names.target} is pinned to cluster ${inspected.identity.systemIdentifier}, database oid ${inspected.identity.databaseOid}.`,
    '',
    `  ${here(file).padEnd(34)} targets, actors, roles`,
    `  ${here(join(directory, 'policies')).padEnd(34)} what is allowed, held, denied (Cedar)`,
    `  ${here(task).padEnd(34)} a sample task: the blast radius of one piece of work`,
    `  ${here(json.personKey).padEnd(34)} ${names.owner}’s key: it countersigns; keep it where no agent can read it`,
    `  ${here(tokenFile).padEnd(34)} ${names.agent}’s token: it opens tasks within its role`,
    '',
    'Next',
    `  npx countersign serve${config}`,
    `  npx countersign task open --file ${here(task)}${config}`,
    '',
    'MCP clients: by HTTP',
    `  claude mcp add --transport http countersign http://127.0.0.1:6480/mcp --header "Authorization: Bearer $(cat ${here(tokenFile)})"`,
    'or by stdio, in their configuration file',
    ...JSON.stringify(bridge, null, 2)
      .split('\n')
      .map((line) => `  ${line}`),
  ].join('\n');
  return { json, text };
}

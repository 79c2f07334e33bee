import { resolve } from 'node:path';
import type { Config } from '../../config/load.ts';
import type { Secret } from '../../config/secret.ts';
import type { ConfiguredTarget } from '../../config/targets.ts';
import { connectOwn } from '../../engines/postgres/connect.ts';
import { examine } from '../../engines/postgres/examine.ts';
import { readPowers } from '../../engines/postgres/powers.ts';
import { diagnoseEnvironment, type Surroundings } from '../diagnose.ts';
import { checkFiles, checkPeopleKeys } from '../files.ts';
import { type Finding, findingsOf } from '../finding.ts';
import { ownFiles } from '../look-around.ts';
import { checkOtherWaysIn } from '../other-ways-in.ts';
import { filesOf, peopleKeys } from '../read-installation.ts';
import { checkLogins, checkOwnInUse, type Standing, standingOf } from './logins.ts';
import { readTokens } from './read-tokens.ts';
import { checkStandingPowers } from './standing-powers.ts';
import { checkTokens, type OwnToken } from './tokens.ts';

/** Who can get in, where, and by what. */
export interface Credentials {
  readonly targets: readonly { readonly target: string; readonly logins: readonly Standing[] }[];
  readonly tokens: readonly OwnToken[];
  readonly findings: readonly Finding[];
}

/** The other checks of logins are coarser than these. */
const SAID_HERE = new Set(['reach.superusers', 'reach.writers', 'reach.logins']);

/**
 * Looks at every credential that leads to a target, past the gateway or through it (G13). Changes nothing, and shows no secret.
 *
 * @throws when the state can't be read.
 */
export async function auditCredentials(config: Config, around: Surroundings): Promise<Credentials> {
  // Before anything opens the state: SQLite makes files beside it.
  const files = checkFiles([...filesOf(config), ...secretFiles(config)], process.getuid?.() ?? 0);
  const configured = [...config.targets.values()];
  const targets = await Promise.all(configured.map((target) => auditTarget(target, around.nowMs)));
  const tokens = await readTokens(config, around.nowMs);
  return {
    targets: targets.map(({ target, logins }) => ({ target, logins })),
    tokens,
    findings: [
      ...targets.flatMap(({ findings }) => findings),
      ...checkTokens(tokens, around.nowMs),
      ...files,
      ...checkPeopleKeys(peopleKeys(config)),
      ...(await diagnoseEnvironment(configured, around, false)),
    ],
  };
}

async function auditTarget(
  { target, session, apply, backup, knownLogins }: ConfiguredTarget,
  nowMs: number,
): Promise<{ readonly target: string; readonly logins: readonly Standing[]; readonly findings: readonly Finding[] }> {
  const logins = { session: session.user, apply: apply.user };
  try {
    const client = await connectOwn(target, { user: session.user, password: session.password.reveal() });
    try {
      const examined = await examine(client, logins);
      const powers = await readPowers(client);
      const own = new Map([
        ...[...knownLogins].map(([login, what]) => [login, `known: ${what}`] as const),
        [session.user, 'Countersign: makes the logins of tasks'],
        [apply.user, 'Countersign: applies plans'],
        ...(backup?.login == null ? [] : [[backup.login.user, 'Countersign: backups'] as const]),
      ]);
      const standings = powers.logins.map((login) =>
        standingOf(login, {
          serverVersion: examined.serverVersion,
          database: target.endpoint.database,
          own,
          hbaRules: examined.hbaRules,
          connections: powers.connections,
        }),
      );
      return {
        target: target.id,
        logins: standings,
        findings: [
          ...checkLogins(target.id, standings, nowMs),
          ...checkOwnInUse(target.id, standings, [session.user, apply.user]),
          ...checkOtherWaysIn(target.id, target.endpoint, logins, examined).filter(({ id }) => !SAID_HERE.has(id)),
          ...checkStandingPowers(target.id, powers.standing),
        ],
      };
    } finally {
      await client.end();
    }
  } catch (error) {
    const { bad } = findingsOf(`target ${target.id}`);
    const unreached = bad('unknown', 'target.reachable', {
      found: (error instanceof Error ? error.message : String(error)).replace(/\.$/, ''),
      why: 'Who can get in there was not looked at.',
      fix: 'see that the server runs, that pg_hba.conf lets the gateway in, and that secrets/ holds the passwords of its logins',
    });
    return { target: target.id, logins: [], findings: [unreached] };
  }
}

/** Files that the configuration names as secrets, wherever they lie. */
function secretFiles(config: Config) {
  const secrets = [
    ...[...config.targets.values()].flatMap(({ session, apply, backup }) => [
      session.password,
      apply.password,
      ...(backup?.login == null ? [] : [backup.login.password]),
      ...(backup?.identity == null ? [] : [backup.identity]),
    ]),
    ...config.webhooks.map(({ secret }) => secret),
    ...(config.metricsToken === null ? [] : [config.metricsToken]),
    ...(config.mail?.password == null ? [] : [config.mail.password]),
    ...(config.oidc === null ? [] : [config.oidc.clientSecret]),
  ];
  const looked = new Set(filesOf(config).map(({ path }) => path));
  const paths = new Set(secrets.flatMap((secret) => pathOf(secret, config.directory)));
  return [...paths].filter((path) => !looked.has(path)).flatMap((path) => ownFiles(path, 'secret'));
}

function pathOf({ reference }: Secret, directory: string): readonly string[] {
  const name = /^\$\{file:([^}]+)\}$/.exec(reference)?.[1];
  return name === undefined ? [] : [resolve(directory, name)];
}

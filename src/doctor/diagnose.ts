import { connectServer, serverFacts } from '../branches/branch-server.ts';
import type { Config } from '../config/load.ts';
import type { ConfiguredTarget } from '../config/targets.ts';
import { RefusalError } from '../domain/refusal.ts';
import { connectOwn, readIdentity } from '../engines/postgres/connect.ts';
import { examine } from '../engines/postgres/examine.ts';
import { checkApprovalAgents } from './approval-agents.ts';
import { checkBackupAge } from './backup-age.ts';
import { checkBackups } from './backups.ts';
import { type BranchServerLook, checkBranches } from './branches.ts';
import { checkDirectCredentials, type Reachable } from './direct-credentials.ts';
import { checkDrift } from './drift.ts';
import { checkBackupCredentials, checkFiles, checkPeopleKeys } from './files.ts';
import { type Finding, findingsOf } from './finding.ts';
import { checkGrants, type Reach } from './grants.ts';
import { checkSeparation, type Identified } from './identity.ts';
import { checkIncidents } from './incidents.ts';
import { addressesOf, lookForBackupCredentials, lookForCredentials } from './look-around.ts';
import { checkMachine } from './machine.ts';
import { checkMissingPowers } from './missing-powers.ts';
import { checkOtherWaysIn } from './other-ways-in.ts';
import { filesOf, peopleKeys, readMachine, readOwnTls } from './read-installation.ts';
import { readSlack } from './read-slack.ts';
import { readState } from './read-state.ts';
import { checkRoles } from './roles.ts';
import { checkServer } from './server.ts';
import { checkSlack } from './slack.ts';
import { checkStatePlace } from './state-place.ts';
import { checkHttp, checkOwnTls, checkTls } from './tls.ts';
import { checkUndoOfWrites } from './undo-of-writes.ts';
import { checkWitnesses } from './witnesses.ts';

/** Where the checks look, besides the configuration. */
export interface Surroundings {
  readonly env: NodeJS.ProcessEnv;
  readonly directory: string;
  readonly nowMs: number;
}

/** Looks at a whole installation; changes nothing, but for a file that it adds to stores of backups. What can't be looked at is said, and never taken for well. */
export async function diagnose(config: Config, around: Surroundings): Promise<readonly Finding[]> {
  // Before anything opens the state: SQLite makes files beside it.
  const files = checkFiles(filesOf(config), process.getuid?.() ?? 0);
  const targets = await Promise.all(
    [...config.targets.values()].map((target) => diagnoseTarget(target, reachOf(config))),
  );
  const { state, ...machine } = await readMachine(config, around.nowMs);
  // A store that is away is waited for once.
  const { told, trouble } =
    state.trouble === null ? await readState(config, around.nowMs) : { told: null, trouble: null };
  return [
    ...checkMachine({ ...machine, state: { ...state, trouble: state.trouble ?? trouble } }),
    ...checkWitnesses(told?.witnessing ?? null),
    ...checkStatePlace(
      config.state,
      [...config.targets.values()].map(({ target }) => target),
    ),
    ...checkOwnTls(config.listen.pg, readOwnTls(config), around.nowMs),
    checkHttp(config.listen.http.host),
    ...files,
    ...checkPeopleKeys(peopleKeys(config)),
    ...checkBackupCredentials(lookForBackupCredentials(around.env, config.directory)),
    ...targets.flatMap(({ findings }) => findings),
    ...(await checkBackups([...config.targets.values()])),
    ...checkBranches(
      await lookAtBranchServers([...config.targets.values()]),
      targets.flatMap(({ identified }) => (identified === null ? [] : [identified])),
      told?.branches ?? null,
    ),
    ...checkIncidents(told?.unreviewed ?? null, around.nowMs),
    ...checkBackupAge(told?.backups ?? [], around.nowMs),
    ...checkDrift(
      [...config.targets.values()].map(({ target: { id }, drift }) => ({
        target: id,
        scheduled: drift !== null,
        state: told?.drift.get(id),
      })),
    ),
    ...checkSeparation(targets.flatMap(({ identified }) => (identified === null ? [] : [identified]))),
    ...checkSlack(await readSlack(config)),
    ...checkApprovalAgents(config.actors, config.environments),
    ...(await diagnoseEnvironment([...config.targets.values()], around, false)),
  ];
}

async function lookAtBranchServers(targets: readonly ConfiguredTarget[]): Promise<readonly BranchServerLook[]> {
  const looks = targets.map(async ({ target: { id }, branches }): Promise<BranchServerLook[]> => {
    if (branches === null) return [];
    const { endpoint, login } = branches;
    try {
      const server = { endpoint, login: { user: login.user, password: login.password.reveal() } };
      const client = await connectServer(server, endpoint.database);
      return [{ target: id, server: await serverFacts(client).finally(() => client.end()) }];
    } catch (error) {
      return [{ target: id, server: error instanceof Error ? error.message : String(error) }];
    }
  });
  return (await Promise.all(looks)).flat();
}

/** Looks only for ways past the gateway that lie about here: also on a machine that has no configuration. */
export async function diagnoseEnvironment(
  targets: readonly ConfiguredTarget[],
  { env, directory }: Surroundings,
  agentHost: boolean,
): Promise<readonly Finding[]> {
  const credentials = lookForCredentials(env, directory);
  const names = new Set([...credentials.map(({ host }) => host), ...targets.map(({ target }) => target.endpoint.host)]);
  const known = new Map<string, readonly string[]>();
  for (const name of names) known.set(name, await addressesOf(name));
  const reachable = targets.map(
    ({ target }): Reachable => ({
      target: target.id,
      port: target.endpoint.port,
      hosts: new Set(known.get(target.endpoint.host) ?? []),
    }),
  );
  return checkDirectCredentials(credentials, reachable, (host) => known.get(host) ?? [host], agentHost);
}

async function diagnoseTarget(
  { target, session, apply }: ConfiguredTarget,
  reach: Reach,
): Promise<{ readonly findings: Finding[]; readonly identified: Identified | null }> {
  const { ok, bad } = findingsOf(`target ${target.id}`);
  const tls = checkTls('tls.target', `target ${target.id}`, `targets.${target.id}.address`, target.endpoint);
  const logins = { session: session.user, apply: apply.user };
  const initAgain = `countersign init --database <administrator URL> --environment ${target.environment} --target ${target.id}`;
  try {
    const applying = await connectOwn(target, { user: apply.user, password: apply.password.reveal() });
    await applying.end();
    const client = await connectOwn(target, { user: session.user, password: session.password.reveal() });
    try {
      const identity = await readIdentity(
        target.endpoint,
        async (sql) => (await client.query({ text: sql, rowMode: 'array' })).rows as (string | null)[][],
      );
      const examined = await examine(client, logins);
      return {
        identified: { target: target.id, environment: target.environment, identity },
        findings: [
          ok('identity.pinned', 'what answers is the pinned database'),
          tls,
          ...checkRoles(target.id, logins, examined, initAgain),
          ...checkMissingPowers(target.id, session.user, examined, (target.masks ?? []).length > 0, initAgain),
          ...checkGrants(target.id, logins, examined, reach, initAgain),
          checkUndoOfWrites(target, examined, reach, initAgain),
          ...checkOtherWaysIn(target.id, target.endpoint, logins, examined),
          ...checkServer(target.id, examined, initAgain),
        ],
      };
    } finally {
      await client.end();
    }
  } catch (error) {
    return { identified: null, findings: [tls, unreached(error)] };
  }

  function unreached(error: unknown): Finding {
    const message = error instanceof Error ? error.message : String(error);
    if (error instanceof RefusalError && error.refusal.refused === 'identityMismatch') {
      return bad('fail', 'identity.pinned', {
        found: `${message} ${error.refusal.detail ?? ''}`.trim(),
        why: 'It may be a clone, a restored copy, or another server at the old address. The gateway refuses it.',
        fix: 'mend targets.<name>.address; if this server is meant, take the target out of the configuration and run countersign init',
      });
    }
    return bad('unknown', 'target.reachable', {
      found: message.replace(/\.$/, ''),
      why: 'Nothing of it could be looked at.',
      fix: 'see that the server runs, that pg_hba.conf lets the gateway in, and that secrets/ holds the passwords of its logins',
    });
  }
}

function reachOf({ roles }: Config): Reach {
  const all = [...roles.values()];
  return { read: all.flatMap(({ read }) => [...read]), write: all.flatMap(({ write }) => [...write]) };
}

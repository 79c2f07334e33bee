import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type pg from 'pg';
import type { Config } from '../config/load.ts';
import type { Channel } from '../config/scenario-schema.ts';
import { asId, type TargetId } from '../domain/ids.ts';
import { CATALOGUE_POLL_MS } from '../engines/engine.ts';
import { identityDigest, readIdentity } from '../engines/postgres/connect.ts';
import type { EmbeddedServer } from '../engines/postgres/embedded-server.ts';
import type { ServerBinaries } from '../engines/postgres/server-binaries.ts';
import { planSetup } from '../engines/postgres/setup.ts';
import { createSigningKey } from '../ledger/signing-key.ts';
import { send } from './attempt.ts';
import { writeCopyConfig } from './copy-config.ts';
import type { Lane } from './lane.ts';
import { asSuperuser, connectSuperuser, type Master, setUp, startCopy } from './master.ts';
import { probe, type Scenario } from './scenario.ts';

/** Opens tasks as `countersign task open` does. */
export interface TaskDesk {
  open(wanted: WantedTask): Promise<{ readonly task: string; readonly token: string }>;
  /** Ends a task, and with it what its sessions hold. */
  end(task: string): Promise<void>;
  close(): Promise<void>;
}

export interface WantedTask {
  readonly agent: string;
  readonly target: string;
  readonly purpose: string;
  readonly read: readonly string[];
  readonly write: readonly string[];
  readonly rowsPerStatement: number;
  readonly rowsPerTask: number;
  readonly statementTimeoutMs: number;
  readonly othersWaitMs: number;
}

/** How long a statement may take; what lasts longer has outlasted it. */
export const STATEMENT_TIMEOUT_MS = 3000;
const OTHERS_WAIT_MS = 300;
const OPEN_TASKS = 4;
const ROWS_PER_STATEMENT = 10;
const ROWS_PER_TASK = 20;
const COUNTERSIGN = fileURLToPath(new URL('../../bin/countersign.js', import.meta.url));

/** A copy with a real gateway before it, which serves the user's configuration and policies in a process of its own. */
export async function openGatewayLane(
  master: Master,
  channel: Channel,
  facts: {
    readonly directory: string;
    readonly binaries: ServerBinaries;
    readonly config: Config;
    readonly target: string;
    readonly agent: string;
    readonly openDesk: (configFile: string) => Promise<TaskDesk>;
  },
): Promise<Lane> {
  const directory = join(facts.directory, channel);
  const dataDirectory = `${directory}.data`;
  const { surroundings, database } = master;
  const secret = () => randomBytes(24).toString('base64url');
  const passwords = { session: secret(), apply: secret() };
  const keepWrites = facts.config.targets.get(asId<TargetId>(facts.target))?.target.keepsWrites === true;
  const apart: Scenario[] = [];
  const open: string[] = [];
  mkdirSync(directory, { mode: 0o700 });
  createSigningKey(join(directory, 'ledger.key'));

  let server = await startCopy(master.dataDirectory, { ...facts, dataDirectory });
  await asSuperuser(server.url(database), govern);
  const file = writeCopyConfig(facts.config, readFileSync(facts.config.file, 'utf8'), {
    ...facts,
    directory,
    port: server.port,
    database,
    passwords,
    identity: await identityOf(server, database),
    schemas: surroundings.schemas,
  });
  const gateway = await startGateway(file, directory);
  const desk = await facts.openDesk(file).catch(async (error: unknown) => {
    await gateway.stop();
    throw error;
  });

  /** The same roles, grants and triggers that `countersign init` makes. */
  async function govern(client: pg.Client): Promise<void> {
    const ask = async (sql: string) => (await client.query<Record<string, unknown>>(sql)).rows;
    for (const { sql } of await planSetup(ask, passwords, { keepWrites })) await client.query(sql);
  }

  async function enter(actor: Scenario['actor'], limits: Scenario['limits'], purpose: string) {
    const { task, token } = await desk.open({
      agent: facts.agent,
      target: facts.target,
      purpose,
      ...surroundings.radius[actor],
      rowsPerStatement: limits.rowsPerStatement ?? ROWS_PER_STATEMENT,
      rowsPerTask: limits.rowsPerTask ?? ROWS_PER_TASK,
      statementTimeoutMs: STATEMENT_TIMEOUT_MS,
      othersWaitMs: OTHERS_WAIT_MS,
    });
    open.push(task);
    // A neighbour's may still be in use; those before are not.
    for (const over of open.splice(0, Math.max(0, open.length - OPEN_TASKS))) await desk.end(over);
    return {
      postgres: `postgres://${task}:${token}@${gateway.pg}/${encodeURIComponent(facts.target)}`,
      mcp: { url: gateway.mcp, token },
      target: facts.target,
    };
  }

  /**
   * The first session of a kind makes its logins, and its task, left open, keeps them: from then on nothing of ours changes
   * the catalogue.
   */
  async function warmUp(): Promise<void> {
    for (const actor of ['reader', 'writer', 'migrator'] as const) {
      if (actor !== 'reader' && surroundings.radius[actor].write.length === 0) continue;
      const way = await enter(actor, {}, 'warm up');
      await send({ attempt: probe('SELECT 1'), channel: 'simple', way, words: {} });
    }
    open.length = 0;
  }

  await warmUp();
  return {
    name: channel,
    enter: ({ actor, limits, id }) => enter(actor, limits, `red team: ${id}`),
    watch: () => connectSuperuser(server.url(database)),
    async setUpApart(scenarios) {
      apart.push(...scenarios);
      const failed = await asSuperuser(server.url(database), async (client) => {
        const found = await setUp(client, scenarios, surroundings);
        await govern(client);
        return found;
      });
      await new Promise((resolve) => setTimeout(resolve, CATALOGUE_POLL_MS * 1.5));
      await warmUp();
      return failed;
    },
    async restore() {
      await server.kill();
      rmSync(dataDirectory, { recursive: true, force: true });
      server = await startCopy(master.dataDirectory, { ...facts, dataDirectory, port: server.port });
      await asSuperuser(server.url(database), async (client) => {
        await setUp(client, apart, surroundings);
        await govern(client);
      });
      await new Promise((resolve) => setTimeout(resolve, CATALOGUE_POLL_MS * 2));
      await warmUp();
    },
    async close() {
      await desk.close();
      await gateway.stop();
      await server.kill();
      rmSync(dataDirectory, { recursive: true, force: true });
    },
  };
}

function identityOf(server: EmbeddedServer, database: string): Promise<string> {
  const endpoint = { host: '127.0.0.1', port: server.port, database, tls: 'disable' as const };
  return asSuperuser(server.url(database), async (client) =>
    identityDigest(
      await readIdentity(endpoint, async (sql) => {
        const { rows } = await client.query({ text: sql, rowMode: 'array' });
        return rows as (string | null)[][];
      }),
    ),
  );
}

interface RunningGateway {
  readonly pg: string;
  readonly mcp: string;
  stop(): Promise<void>;
}

async function startGateway(config: string, directory: string): Promise<RunningGateway> {
  const child: ChildProcess = spawn(
    process.execPath,
    [COUNTERSIGN, 'serve', '--config', config, '--json', '--log-level', 'error'],
    { cwd: directory, stdio: ['ignore', 'pipe', 'pipe'] },
  );
  let log = '';
  child.stderr?.on('data', (chunk: Buffer) => {
    log = (log + chunk.toString()).slice(-10_000);
  });
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const endWithUs = () => child.kill('SIGKILL');
  process.once('exit', endWithUs);
  const first = await Promise.race([
    new Promise<string>((resolve) => {
      if (child.stdout !== null) createInterface({ input: child.stdout }).once('line', resolve);
    }),
    ended.then(() => Promise.reject(new Error(`the gateway did not start:\n${log}`))),
  ]);
  const { pg: address, mcp } = JSON.parse(first) as { pg: string; mcp: string };
  return {
    pg: address,
    mcp,
    async stop() {
      process.off('exit', endWithUs);
      child.kill('SIGTERM');
      await ended;
    },
  };
}

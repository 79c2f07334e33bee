import type { Command } from 'commander';
import { loadTaskFile } from '../config/task-file.ts';
import { type ActorId, asId } from '../domain/ids.ts';
import { RefusalError } from '../domain/refusal.ts';
import type { Countersign } from '../server/open-countersign.ts';
import { liveNodes } from '../store/nodes.ts';
import { listTasks, taskById } from '../store/tasks.ts';
import {
  answerWith,
  type CommonOptions,
  operatingSystemUser,
  orRefused,
  UsageError,
  withCommonOptions,
} from './command.ts';

interface OpenOptions extends CommonOptions {
  readonly agent?: string;
  readonly file: string;
  readonly onBehalfOf?: string;
}

/** Adds `countersign task open|list|close`. */
export function registerTask(program: Command): void {
  const task = program.command('task').description('short-lived capabilities: what an agent may touch, and until when');

  withCommonOptions(task.command('open').description('open a task and print how to connect; the token is shown once'))
    .requiredOption('--file <file>', 'the task: purpose, targets, limits, expiry')
    .option('--agent <name>', 'the agent it is for, where the file names none')
    .option('--on-behalf-of <person>', 'the person who asks for it; they can’t countersign its plans')
    .action((options: OpenOptions) => answerWith(options, (countersign) => open(countersign, options)));

  withCommonOptions(task.command('list').description('list tasks, those that expire last first')).action(
    (options: CommonOptions) => answerWith(options, list),
  );

  withCommonOptions(
    task.command('close <task>').description('close a task: its sessions end, its token is worth nothing'),
  ).action((id: string, options: CommonOptions) => answerWith(options, (countersign) => close(countersign, id)));
}

async function open(countersign: Countersign, options: OpenOptions) {
  const file = await loadTaskFile(options.file);
  const agent = options.agent ?? file.agent;
  if (agent === undefined)
    throw new UsageError('Which agent is the task for?', 'Name it with --agent, or in the file.');
  if (file.agent !== undefined && options.agent !== undefined && file.agent !== options.agent) {
    throw new UsageError(
      `The file is for ${file.agent}, not for ${options.agent}.`,
      'Leave --agent out, or use another file.',
    );
  }
  const { task, token } = orRefused(
    await countersign.tasks.open({
      agent: asId<ActorId>(agent),
      openedBy: asId<ActorId>(operatingSystemUser()),
      ...(options.onBehalfOf === undefined ? {} : { onBehalfOf: asId<ActorId>(options.onBehalfOf) }),
      channel: 'cli',
      purpose: file.purpose,
      radius: file.radius,
      limits: file.limits,
      lifetimeMs: file.lifetimeMs,
    }),
  );
  const addresses = await gatewayAddresses(countersign);
  const urls = Object.fromEntries(
    task.radius.map(({ target }) => [target, postgresUrl(addresses, countersign, { task: task.id, token, target })]),
  );
  const json = {
    task: task.id,
    token,
    postgres: Object.values(urls)[0],
    targets: urls,
    mcp: { url: `${addresses.http}/mcp`, token },
    expires: task.expiresAt,
  };
  const text = [
    `Task ${task.id} for ${task.agent}, until ${task.expiresAt}: ${task.purpose}`,
    '',
    ...Object.entries(urls).map(([target, url]) => `  ${target}\n    psql '${url}'`),
    `  MCP\n    url   ${json.mcp.url}\n    token ${token}`,
    '',
    'The token is shown this once. It opens the declared tables within the limits, and nothing else.',
    ...(addresses.live ? [] : ['No gateway is running yet: start one with `countersign serve`.']),
  ].join('\n');
  return { json, text };
}

interface Addresses {
  readonly pg: string;
  readonly http: string;
  readonly live: boolean;
}

/** Where the gateway listens; as configured when none is running. */
async function gatewayAddresses({ store, config }: Countersign): Promise<Addresses> {
  const node = (await liveNodes(store, await store.nowMs())).find(({ pg }) => pg !== '');
  if (node !== undefined) return { pg: node.pg, http: node.http, live: true };
  if (config.reachedAt !== null) return { ...config.reachedAt, live: false };
  const { pg, http } = config.listen;
  return { pg: `${pg.host}:${pg.port}`, http: `http://${http.host}:${http.port}`, live: false };
}

function postgresUrl(
  addresses: Addresses,
  { config }: Countersign,
  { task, token, target }: { readonly task: string; readonly token: string; readonly target: string },
): string {
  const tls = config.tls?.required === true ? '?sslmode=require' : '';
  return `postgres://${task}:${token}@${addresses.pg}/${encodeURIComponent(target)}${tls}`;
}

async function list({ store, clock }: Countersign) {
  const tasks = (await listTasks(store, 100)).map(({ task, rowsUsed, closedAt }) => ({
    task: task.id,
    agent: task.agent,
    purpose: task.purpose,
    state: closedAt !== null ? 'closed' : clock.now() < Date.parse(task.expiresAt) ? 'open' : 'expired',
    expires: task.expiresAt,
    rowsUsed,
    rowsLimit: task.limits.rowsPerTask,
  }));
  const lines = tasks.map(
    ({ task, agent, state, expires, rowsUsed, rowsLimit, purpose }) =>
      `${task}  ${state.padEnd(7)}  ${agent}  until ${expires}  ${rowsUsed} of ${rowsLimit} rows  ${purpose}`,
  );
  return {
    json: { tasks },
    text: lines.join('\n') || 'No task has been opened yet. Open one with `countersign task open --file task.yaml`.',
  };
}

async function close({ store, tasks }: Countersign, id: string) {
  const stored = await taskById(store, id);
  if (stored === undefined)
    throw new RefusalError({
      refused: 'denied',
      message: `There is no task ${id}.`,
      hint: '`countersign task list` shows them.',
    });
  if (stored.closedAt === null) await tasks.close(stored.task.id, asId<ActorId>(operatingSystemUser()));
  return { json: { task: id, state: 'closed' }, text: `Task ${id} is closed.` };
}

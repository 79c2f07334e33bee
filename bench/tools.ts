import { type ChildProcess, spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { startSite, WORK } from '../test/fixtures/gateway.ts';
import { servers } from '../test/fixtures/postgres.ts';
import { type Report, ROUNDS, spread } from './report.ts';

const CALLS = 200;
const SQL = 'SELECT full_name FROM public.customers WHERE id = 7';
const DBHUB = '@bytebase/dbhub@1.4.0';
const DBHUB_PORT = 28_080;

/** `execute_sql` over MCP, one call after the other, against the server of that kind that is most used. */
export async function toolCalls(report: Report): Promise<void> {
  const [first] = servers;
  report.section('MCP, execute_sql, calls a second', 'of DBHub');
  if (first === undefined) return report.tell('all', 'skipped: no server');
  const site = await startSite(first.binaries, { scale: 0.02 });
  const peer = await startDbhub(site.databaseUrl);
  try {
    await site.serve();
    const { mcp } = await site.openTask(WORK);
    const ours = await connected(mcp.url, { authorization: `Bearer ${mcp.token}` });
    const call = { name: 'execute_sql', arguments: { target: 'rental-production', sql: SQL } };
    if (peer === undefined) {
      report.tell(
        'one client',
        `skipped: ${DBHUB} could not be started; ${(await rate(ours, call)).toFixed(0)} calls/s`,
      );
      return;
    }
    const theirs = await connected(`http://127.0.0.1:${DBHUB_PORT}/mcp`, {});
    const ratios: number[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      const dbhub = await rate(theirs, { name: 'execute_sql', arguments: { sql: SQL } });
      ratios.push((await rate(ours, call)) / dbhub);
    }
    report.tell('one client, one call after the other', spread(ratios));
    await ours.close();
    await theirs.close();
  } finally {
    if (peer !== undefined) end(peer);
    await site.remove();
  }
}

async function connected(url: string, headers: Record<string, string>): Promise<Client> {
  const client = new Client({ name: 'countersign-bench', version: '1' });
  await client.connect(new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers } }));
  return client;
}

async function rate(client: Client, call: { name: string; arguments: Record<string, unknown> }): Promise<number> {
  const startedMs = performance.now();
  for (let n = 0; n < CALLS; n++) {
    const result = await client.callTool(call);
    if (result.isError === true) throw new Error(JSON.stringify(result.content));
  }
  return CALLS / ((performance.now() - startedMs) / 1000);
}

async function startDbhub(url: string): Promise<ChildProcess | undefined> {
  const child = spawn(
    'npx',
    ['--yes', DBHUB, '--transport', 'http', '--port', String(DBHUB_PORT), '--dsn', `${url}?sslmode=disable`],
    // npx begins another process: both are ended as a group.
    { stdio: 'ignore', detached: true },
  );
  for (let waitedMs = 0; waitedMs < 90_000 && child.exitCode === null; waitedMs += 500) {
    const answered = await fetch(`http://127.0.0.1:${DBHUB_PORT}/`).then(
      () => true,
      () => false,
    );
    if (answered) return child;
    await sleep(500);
  }
  end(child);
  return undefined;
}

function end({ pid, exitCode }: ChildProcess): void {
  if (pid !== undefined && exitCode === null) process.kill(-pid, 'SIGTERM');
}

import { spawn } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Client } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { asSuperuser } from '../../fixtures/postgres.ts';
import {
  call,
  newClient,
  PROTOCOLS,
  type ProtocolVersion,
  type RunningGateway,
  startGateway,
} from './running-gateway.ts';

const command = fileURLToPath(new URL('mcp-command.ts', import.meta.url));
const target = 'rental-production';

let running: RunningGateway;
beforeAll(async () => {
  running = await startGateway();
});
afterAll(() => running.stop());

async function overStdio(version: ProtocolVersion, token: string, url = `${running.http.url}/mcp`): Promise<Client> {
  const client = newClient(version);
  const transport = new StdioClientTransport({
    command: process.execPath,
    args: [command, '--url', url],
    env: { COUNTERSIGN_TOKEN: token },
    stderr: 'ignore',
  });
  await client.connect(transport);
  return client;
}

/** A client of 2026-07-28 asks for the versions first, and tells only that this failed; what was answered stands in the log. */
function said(version: ProtocolVersion, message: RegExp): RegExp {
  return version === '2026-07-28' ? /Version negotiation failed/ : message;
}

/** Runs the command by itself. */
async function run(args: readonly string[], env: Record<string, string>, input = '') {
  const child = spawn(process.execPath, [command, ...args], { env, stdio: 'pipe' });
  child.stdin.end(input);
  const [stdout, stderr, code] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    new Promise<number | null>((resolve) => child.once('exit', resolve)),
  ]);
  return { stdout, stderr, code };
}

describe.each(PROTOCOLS)('the stdio bridge with MCP %s', (version) => {
  it('carries calls, refusals and progress as the gateway has them', async () => {
    const client = await overStdio(version, running.gateway.task().token);
    expect((await client.listTools()).tools).toHaveLength(19);
    const rows = await call(client, 'execute_sql', { target, sql: 'SELECT 1 AS n' });
    expect(rows.structured).toMatchObject({ outcome: 'rows', rows: [['1']] });
    const held = await call(client, 'execute_sql', { target, sql: 'DELETE FROM notes WHERE id = -1' });
    expect(held).toMatchObject({ isError: true, structured: { outcome: 'held', code: 'CS001' } });
    const { id } = held.structured['plan'] as { id: string };
    const progress: unknown[] = [];
    await call(client, 'get_plan', { plan: id, wait_seconds: 6 }, { onprogress: (told) => progress.push(told) });
    expect(progress).toHaveLength(1);
    await client.close();
  });

  it('carries a cancellation to the database', async () => {
    const client = await overStdio(version, running.gateway.task().token);
    const mark = `bridge_${version.replaceAll('-', '')}`;
    const runs = async () =>
      (
        await asSuperuser(
          running.url,
          `SELECT 1 FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%AS ${mark}' AND pid <> pg_backend_pid()`,
        )
      ).length;
    const abort = new AbortController();
    const pending = call(
      client,
      'execute_sql',
      { target, sql: `SELECT pg_sleep(30) AS ${mark}` },
      { signal: abort.signal },
    );
    await expect.poll(runs, { timeout: 5_000 }).toBe(1);
    abort.abort();
    await expect(pending).rejects.toThrow();
    await expect.poll(runs, { timeout: 5_000 }).toBe(0);
    await client.close();
  });

  it('goes on after the gateway was restarted', async () => {
    const client = await overStdio(version, running.gateway.task().token);
    expect((await call(client, 'list_targets')).structured).toMatchObject({ outcome: 'targets' });
    await running.restart();
    const answers = await Promise.all([
      call(client, 'list_targets'),
      call(client, 'get_status'),
      call(client, 'list_targets'),
    ]);
    expect(answers.map((answer) => answer.structured['outcome'])).toEqual(['targets', 'status', 'targets']);
    await client.close();
  });

  it('says that the token is not accepted', async () => {
    await expect(overStdio(version, 'cst_unknown-token')).rejects.toThrow(said(version, /does not accept this token/));
  });

  it('says that no gateway can be reached, and goes on when there is one', async () => {
    await expect(overStdio(version, 'cst_some-token', 'http://127.0.0.1:59999/mcp')).rejects.toThrow(
      said(version, /countersign serve/),
    );
  });

  it('answers a call whose connection is lost, rather than leaving it open', async () => {
    const client = await overStdio(version, running.gateway.task().token);
    const before = running.gateway.sessionsEverOpened();
    const pending = call(client, 'execute_sql', { target, sql: 'SELECT pg_sleep(30) AS lost' });
    const outcome = expect(pending).rejects.toThrow(/may or may not have taken effect/);
    await expect.poll(() => running.gateway.sessionsEverOpened(), { timeout: 10_000 }).toBeGreaterThan(before);
    await sleep(200);
    await running.restart();
    await outcome;
    await client.close();
  });
});

describe('countersign mcp', () => {
  const initialize = `${JSON.stringify({
    jsonrpc: '2.0',
    id: 1,
    method: 'initialize',
    params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'raw', version: '1' } },
  })}\n`;

  it('ends with its input, and writes nothing but protocol', async () => {
    const child = spawn(process.execPath, [command, '--url', `${running.http.url}/mcp`], {
      env: { COUNTERSIGN_TOKEN: running.gateway.task().token },
      stdio: 'pipe',
    });
    const told = text(child.stdout);
    child.stdin.write(initialize);
    child.stdin.write('not JSON\n');
    await new Promise((resolve) => child.stdout.once('data', resolve));
    child.stdin.end();
    const code = await new Promise((resolve) => child.once('exit', resolve));
    expect(code).toBe(0);
    const lines = (await told).trimEnd().split('\n');
    expect(lines.map((line) => JSON.parse(line))).toMatchObject([
      { jsonrpc: '2.0', id: 1, result: { serverInfo: { name: 'countersign' } } },
    ]);
  });

  it('takes the token from a file that nobody else can read', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'countersign-bridge-'));
    const file = join(directory, 'token');
    writeFileSync(file, `${running.gateway.task().token}\n`, { mode: 0o600 });
    expect(await run(['--url', `${running.http.url}/mcp`, '--token-file', file], {})).toMatchObject({
      code: 0,
      stdout: '',
    });
    chmodSync(file, 0o644);
    expect(await run(['--token-file', file], {})).toMatchObject({
      code: 2,
      stdout: '',
      stderr: expect.stringContaining('chmod 600'),
    });
    expect(await run(['--token-file', join(directory, 'none')], {})).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('can’t be read'),
    });
    rmSync(directory, { recursive: true });
  });

  it('refuses to start without a token, or with one that would travel in clear', async () => {
    expect(await run([], {})).toMatchObject({
      code: 2,
      stdout: '',
      stderr: expect.stringContaining('there is no token'),
    });
    const env = { COUNTERSIGN_TOKEN: 'cst_some-token' };
    expect(await run(['--url', 'http://db.example.org/mcp'], env)).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('unencrypted'),
    });
    expect(await run(['--url', 'ftp://localhost'], env)).toMatchObject({ code: 2 });
    expect(await run(['--url', 'nonsense'], env)).toMatchObject({ code: 2 });
  });
});

import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createServer, request, type Server } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type OpenedTask, type Site, startSite, WORK } from '../fixtures/gateway.ts';
import { servers } from '../fixtures/postgres.ts';
import { SCENARIOS } from './mcp-conformance-scenarios.ts';

const require = createRequire(import.meta.url);
const SUITE = dirname(require.resolve('@modelcontextprotocol/conformance/package.json'));

interface Check {
  readonly id: string;
  readonly status: 'SUCCESS' | 'FAILURE' | 'WARNING' | 'SKIPPED' | 'INFO';
  readonly errorMessage?: string;
}

const [newest] = servers;
describe.skipIf(newest === undefined)('the public conformance suite of MCP', () => {
  let site: Site;
  let proxy: Server;
  let url: string;

  beforeAll(async () => {
    if (newest === undefined) return;
    site = await startSite(newest.binaries);
    await site.serve();
    proxy = await withToken((await site.openTask(WORK)).mcp);
    url = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}/mcp`;
  });
  afterAll(async () => {
    proxy?.close();
    await site?.remove();
  });

  it.each(Object.entries(SCENARIOS))('of %s passes for all that is offered', async (revision, expected) => {
    const found = await runSuite(url, revision);
    expect([...found.keys()].sort()).toEqual(Object.keys(expected).sort());
    for (const [scenario, checks] of found) {
      const failing = expected[scenario];
      if (failing === undefined || typeof failing === 'string') continue;
      const words = Object.entries(failing).map(([id, said]) => [id, expect.stringContaining(said)]);
      expect(failures(checks), scenario).toEqual(Object.fromEntries(words));
    }
    const messages = [...found.values()].flat().filter(({ id }) => id === 'wire-schema-valid');
    expect(messages.length).toBeGreaterThan(10);
  });
});

function failures(checks: readonly Check[]): Readonly<Record<string, string>> {
  return Object.fromEntries(
    checks.flatMap(({ id, status, errorMessage }) => (status === 'FAILURE' ? [[id, errorMessage ?? '']] : [])),
  );
}

/** Runs all scenarios that a revision asks of a server; what each check came to, by scenario. */
async function runSuite(url: string, revision: string): Promise<ReadonlyMap<string, readonly Check[]>> {
  const output = mkdtempSync(join(tmpdir(), 'countersign-conformance-'));
  try {
    await new Promise<void>((resolve) => {
      const args = [join(SUITE, 'dist/index.js'), 'server', '--url', url, '--requirements', revision, '-o', output];
      // It ends with 1 when anything fails; what failed stands in its files.
      execFile(process.execPath, args, { timeout: 50_000, maxBuffer: 64 * 1024 * 1024 }, () => resolve());
    });
    return new Map(
      readdirSync(output).map((directory) => [
        directory.replace(/^server-(.+)-\d{4}-\d\d-\d\dT[\dZ-]+$/, '$1'),
        JSON.parse(readFileSync(join(output, directory, 'checks.json'), 'utf8')) as Check[],
      ]),
    );
  } finally {
    rmSync(output, { recursive: true });
  }
}

/** The suite sends no token: this passes its requests on with one, and changes nothing else. */
async function withToken(mcp: OpenedTask['mcp']): Promise<Server> {
  const { hostname, port } = new URL(mcp.url);
  const proxy = createServer((from, to) => {
    const headers = { ...from.headers, authorization: `Bearer ${mcp.token}` };
    const onward = request({ hostname, port, path: from.url, method: from.method, headers }, (answer) => {
      to.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(to);
    });
    onward.on('error', () => to.destroy());
    to.on('close', () => onward.destroy());
    from.pipe(onward);
  });
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  return proxy;
}

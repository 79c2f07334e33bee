import { execFile, spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type OpenedTask, type Site, startSite, WORK } from '../fixtures/gateway.ts';
import { asSuperuser, newest, servers } from '../fixtures/postgres.ts';

/** What `pgbench -i` makes; Countersign comes before a database that is there already. */
const PGBENCH = `
CREATE TABLE pgbench_branches (bid int PRIMARY KEY, bbalance int NOT NULL DEFAULT 0, filler char(88));
CREATE TABLE pgbench_tellers (tid int PRIMARY KEY, bid int NOT NULL, tbalance int NOT NULL DEFAULT 0, filler char(84));
CREATE TABLE pgbench_accounts (aid int PRIMARY KEY, bid int NOT NULL, abalance int NOT NULL DEFAULT 0, filler char(84));
CREATE TABLE pgbench_history (tid int, bid int, aid int, delta int, mtime timestamp, filler char(22));
INSERT INTO pgbench_branches SELECT 1;
INSERT INTO pgbench_tellers SELECT n, 1 FROM generate_series(1, 10) AS n;
INSERT INTO pgbench_accounts SELECT n, 1 FROM generate_series(1, 100000) AS n;`;

const TASK = WORK.replace(
  'write: [',
  `write: [${['branches', 'tellers', 'accounts', 'history'].map((table) => `public.pgbench_${table}`).join(', ')}, `,
).replace('rowsPerTask: 1000', 'rowsPerTask: 100000');

const CLIENTS = 4;
const TRANSACTIONS = 25;

/** The newest of a program that the host has, and its major version. */
function program(name: string): { readonly path: string; readonly major: number } | undefined {
  for (const path of [name, ...[18, 17, 16, 15].map((major) => `/usr/lib/postgresql/${major}/bin/${name}`)]) {
    const [, major] =
      /\(PostgreSQL\) (\d+)/.exec(spawnSync(path, ['--version'], { encoding: 'utf8' }).stdout ?? '') ?? [];
    if (major !== undefined) return { path, major: Number(major) };
  }
  console.warn(`skipped: ${name} (Debian: postgresql)`);
  return undefined;
}

const pgbench = program('pgbench');
const pgDump = program('pg_dump');

describe.each(servers)('PostgreSQL’s own tools before $name', ({ name, binaries }) => {
  const noPgbench = pgbench === undefined || !newest.some((one) => one.name === name);
  let site: Site;
  let task: OpenedTask;

  beforeAll(async () => {
    site = await startSite(binaries, { schema: PGBENCH });
    await site.serve();
    task = await site.openTask(TASK);
  }, 60_000);
  afterAll(() => site?.remove());

  function run(path: string, ...args: readonly string[]): Promise<string> {
    return new Promise((resolve, reject) => {
      execFile(path, [...args], { timeout: 60_000, maxBuffer: 256 * 1024 * 1024 }, (error, stdout, stderr) =>
        error === null ? resolve(stdout) : reject(new Error(`${path} failed: ${stderr}${stdout}`)),
      );
    });
  }

  it.skipIf(noPgbench).each(['simple', 'extended', 'prepared'])('pgbench runs in mode %s', async (mode) => {
    const before = await balances();
    const options = ['-n', '-M', mode, '-c', String(CLIENTS), '-t', String(TRANSACTIONS)];
    const report = await run(pgbench?.path ?? '', ...options, task.postgres);
    expect(report).toContain(`transactions actually processed: ${CLIENTS * TRANSACTIONS}/${CLIENTS * TRANSACTIONS}`);
    expect(report).toContain('number of failed transactions: 0 ');
    const after = await balances();
    expect(after.history).toBe(before.history + CLIENTS * TRANSACTIONS);
    // Each transaction adds one amount to an account, a teller and the branch: none was done by halves.
    expect(new Set([after.accounts, after.tellers, after.branches, after.deltas]).size).toBe(1);
  });

  it.skipIf(noPgbench)('pgbench reads and writes in a pipeline', async () => {
    const script = join(site.directory, 'pipeline.sql');
    const read = 'SELECT abalance FROM pgbench_accounts WHERE aid = :aid;';
    const write = 'UPDATE pgbench_accounts SET abalance = abalance WHERE aid = :aid;';
    writeFileSync(
      script,
      ['\\set aid random(1, 1000)', '\\startpipeline', read, read, write, read, '\\endpipeline'].join('\n'),
    );
    const options = ['-n', '-f', script, '-M', 'prepared', '-c', '2', '-t', '20'];
    const report = await run(pgbench?.path ?? '', ...options, task.postgres);
    expect(report).toContain('number of failed transactions: 0 ');
  });

  interface Balances {
    readonly accounts: number;
    readonly tellers: number;
    readonly branches: number;
    readonly deltas: number;
    readonly history: number;
  }

  async function balances(): Promise<Balances> {
    const [row] = await asSuperuser<Balances & Record<string, unknown>>(
      site.databaseUrl,
      `SELECT (SELECT sum(abalance)::int FROM pgbench_accounts) AS accounts, (SELECT sum(tbalance)::int FROM pgbench_tellers) AS tellers,
              (SELECT sum(bbalance)::int FROM pgbench_branches) AS branches, coalesce(sum(delta), 0)::int AS deltas, count(*)::int AS history FROM pgbench_history`,
    );
    if (row === undefined) throw new Error('there are no balances');
    return row;
  }

  // A server newer than pg_dump is refused by pg_dump itself.
  it.skipIf(pgDump === undefined || pgDump.major < binaries.major).each([
    ['everything of a schema', ['-n', 'public']],
    ['the schema only', ['-n', 'public', '--schema-only']],
    ['rows as INSERTs', ['-n', 'public', '--data-only', '--column-inserts', '-t', 'vehicles']],
    ['one table', ['-t', 'reservations']],
  ])('pg_dump reads %s as it does directly', async (_what, options) => {
    const dump = async (url: string) => withoutNonce(await run(pgDump?.path ?? '', ...options, '-d', url));
    const governed = await dump(task.postgres);
    expect(governed).toBe(await dump(site.databaseUrl));
    expect(governed.length).toBeGreaterThan(1000);
  });
});

/** A word of chance against code that hides in a dump. */
function withoutNonce(dump: string): string {
  return dump.replace(/^\\(un)?restrict .*$/gm, '');
}

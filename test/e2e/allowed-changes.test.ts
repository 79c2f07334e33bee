import { execFile } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hasPsql, type OpenedTask, type Site, startSite, WORK } from '../fixtures/gateway.ts';
import { newest, sampled } from '../fixtures/postgres.ts';
import { hasPython, judgedByStranger } from '../fixtures/verifier.ts';
import { DEFINITIONS } from './fidelity/definitions.ts';

const TASK = WORK.replace(/write: \[.*\]/, 'write: [public.*]');

/** The environment's policies ask nobody for changes of the schema. */
function allowChanges(site: Site): void {
  const file = join(site.directory, 'policies/3-changes.cedar');
  const asked = /@id\("(?:destructive|schema-change|privilege-change|upkeep)"\)[^;]*;/g;
  writeFileSync(file, readFileSync(file, 'utf8').replaceAll(asked, ''));
}

describe.each(newest)('changes that policy lets through, before $name', ({ binaries }) => {
  let site: Site;
  let task: OpenedTask;

  beforeAll(async () => {
    site = await startSite(binaries, { keepWrites: false });
    allowChanges(site);
    await site.serve();
    task = await site.openTask(TASK);
  }, 60_000);
  afterAll(() => site?.remove());

  function psql(url: string, file: string): Promise<string> {
    return new Promise((resolve) => {
      execFile(
        'psql',
        ['-X', '-a', '-f', file, url],
        { timeout: 110_000, env: { ...process.env, PAGER: 'cat', PGSSLMODE: 'disable', PGGSSENCMODE: 'disable' } },
        (_error, stdout, stderr) => resolve(`${stdout}\n${stderr}`),
      );
    });
  }

  it.skipIf(!hasPsql)(
    'print the same as the database itself',
    async () => {
      const file = join(site.directory, 'script.sql');
      // One psql for all: each script leaves the schema and the session as they were.
      writeFileSync(file, `${sampled(DEFINITIONS).join('\\echo ----\n')}\n`);
      expect(await psql(task.postgres, file)).toBe(await psql(site.databaseUrl, file));
    },
    120_000,
  );

  it('are measured plans that nobody signed, applied once, and proven', async () => {
    const client = new pg.Client({ connectionString: task.postgres });
    await client.connect();
    await client.query('CREATE TABLE public.proven (id int PRIMARY KEY, said text)');
    await client.query("INSERT INTO public.proven VALUES (1, 'seen at once')");
    expect((await client.query('SELECT said FROM public.proven')).rows).toEqual([{ said: 'seen at once' }]);
    await client.end();

    const { plans } = await site.ask<{ plans: { id: string; state: string; approvals: unknown[] }[] }>('plan', 'list');
    const made = plans.filter(({ state }) => state === 'applied');
    expect(made.length).toBeGreaterThan(0);
    expect(made.every(({ approvals }) => approvals.length === 0)).toBe(true);
    if (hasPython) expect(await judgedByStranger(site)).toMatchObject({ verdict: 'sound' });
    const verified = await site.run('ledger', 'verify');
    expect(verified.code).toBe(0);
  });

  it('come through prepared by a driver, and several in one text', async () => {
    const client = new pg.Client({ connectionString: task.postgres });
    await client.connect();
    const named = await client.query({ name: 'make', text: 'CREATE TABLE public.prepared (id int)' });
    expect(named.command).toBe('CREATE');
    const both = await client.query('CREATE TABLE public.several (id int); INSERT INTO public.several VALUES (1), (2)');
    expect((both as unknown as pg.QueryResult[]).map(({ command, rowCount }) => [command, rowCount])).toEqual([
      ['CREATE', null],
      ['INSERT', 2],
    ]);
    expect((await client.query('SELECT id FROM public.several')).rowCount).toBe(2);
    await client.end();
  });

  it('count towards the rows that a task may change', async () => {
    const small = await site.openTask(TASK.replace('rowsPerTask: 1000', 'rowsPerTask: 5'));
    const client = new pg.Client({ connectionString: small.postgres });
    await client.connect();
    await client.query('CREATE TABLE public.three AS SELECT g FROM generate_series(1, 3) AS g');
    await expect(
      client.query('CREATE TABLE public.three_more AS SELECT g FROM generate_series(1, 3) AS g'),
    ).rejects.toMatchObject({ code: 'CS001' });
    await client.end();
  });

  it('still wait for people where something else asks for them', async () => {
    const client = new pg.Client({ connectionString: task.postgres });
    await client.connect();
    await expect(client.query('SELECT public.settle_invoice(1)')).rejects.toMatchObject({ code: 'CS001' });
    await client.end();
  });
});

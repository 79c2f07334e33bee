import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type OpenedTask, type Served, type Site, startSite, WORK } from '../fixtures/gateway.ts';
import { asSuperuser, servers } from '../fixtures/postgres.ts';

const [binaries] = servers.map((server) => server.binaries);

const CODE = `
  CREATE FUNCTION public.full_name(int) RETURNS text LANGUAGE sql STABLE AS 'SELECT email FROM public.customers WHERE id = $1';
  CREATE FUNCTION public.tidy(int) RETURNS int LANGUAGE plpgsql VOLATILE AS $$ BEGIN DELETE FROM public.customers WHERE id = $1; RETURN $1; END $$;
  CREATE FUNCTION public.alike(text, text) RETURNS boolean LANGUAGE sql STABLE AS 'SELECT lower($1) = lower($2)';
  CREATE OPERATOR public.=~ (LEFTARG = text, RIGHTARG = text, FUNCTION = public.alike);
`;
const NAMES = 'SELECT public.full_name(1)';

describe.skipIf(binaries === undefined)('G1 what a person vouches for', () => {
  let site: Site;
  let served: Served;
  let task: OpenedTask;
  beforeAll(async () => {
    if (binaries === undefined) throw new Error('there is no PostgreSQL server on this machine');
    site = await startSite(binaries, { scale: 0.01, schema: CODE });
    served = await site.serve();
    task = await site.openTask(WORK);
  });
  afterAll(() => site.remove());

  async function tried(
    sql: string,
  ): Promise<{ rows: readonly unknown[] } | { code: string; detail: string; hint: string }> {
    const client = new pg.Client({ connectionString: task.postgres });
    await client.connect();
    try {
      return { rows: (await client.query({ text: sql, rowMode: 'array' })).rows };
    } catch (error) {
      if (!(error instanceof pg.DatabaseError)) throw error;
      return { code: error.code ?? '', detail: error.detail ?? '', hint: error.hint ?? '' };
    } finally {
      await client.end();
    }
  }

  /** Tries until it is so, and not longer than a running gateway may take. */
  async function within(ms: number, sql: string, is: 'read' | 'held'): Promise<void> {
    const until = Date.now() + ms;
    for (;;) {
      const answer = await tried(sql);
      if ('rows' in answer === (is === 'read')) return;
      if (Date.now() > until) throw new Error(`${sql} was not ${is} within ${ms} ms: ${JSON.stringify(answer)}`);
    }
  }

  const trust = (...args: readonly string[]) =>
    site.ask('policy', 'trust', ...args, '--target', 'rental-production', '--as', 'ada', '--reason', 'I have read it');

  it('is named in the reply that holds it, with what to do', async () => {
    const held = await tried(NAMES);
    expect(held).toMatchObject({ code: 'CS001' });
    expect(JSON.stringify(held)).toContain('the function public.full_name(integer)');
    expect(JSON.stringify(held)).toContain("countersign policy trust function 'public.full_name(integer)'");
    const explained = await site.run('policy', 'explain', '--task', task.task, '--sql', NAMES, '--json');
    expect(explained.json()).toMatchObject({ verdict: 'hold', vouchable: ['public.full_name(integer)'] });
  });

  it('is read by a running gateway within a second, and is listed and recorded', async () => {
    await trust('function', 'public.full_name(int)');
    await within(1500, NAMES, 'read');
    const { trusted } = await site.ask<{ trusted: Record<string, string>[] }>('policy', 'trust', 'list');
    expect(trusted).toMatchObject([{ signature: 'public.full_name(integer)', person: 'ada', state: 'in force' }]);
    const { entries } = await site.ask<{ entries: { kind: string; subject: string }[] }>('ledger', 'show');
    expect(entries.map(({ kind, subject }) => `${kind}: ${subject}`)).toContain(
      'voucher: rental-production public.full_name(integer)',
    );
  });

  it('covers what an operator runs', async () => {
    const sql = "SELECT count(*) FROM customers WHERE email =~ 'nobody'";
    expect(await tried(sql)).toMatchObject({ code: 'CS001' });
    await trust('operator', 'public.=~(text, text)');
    await within(1500, sql, 'read');
  });

  it('still can’t write, whoever vouches for it', async () => {
    await trust('function', 'public.tidy(integer)');
    const before = await asSuperuser(site.databaseUrl, 'SELECT count(*) FROM public.customers');
    let answer = await tried('SELECT public.tidy(1)');
    for (let again = 0; again < 20 && 'code' in answer && answer.code === 'CS001'; again++)
      answer = await tried('SELECT public.tidy(1)');
    expect(answer).toMatchObject({ code: '25006' });
    expect(await asSuperuser(site.databaseUrl, 'SELECT count(*) FROM public.customers')).toEqual(before);
  });

  it('doesn’t run when a transaction has been measured', async () => {
    const client = new pg.Client({ connectionString: task.postgres });
    await client.connect();
    const declares = 'DECLARE late CURSOR WITH HOLD FOR SELECT public.tidy(id) FROM public.vehicles';
    await client.query('BEGIN');
    await expect(client.query(declares)).rejects.toMatchObject({ code: 'CS008' });
    await client.query('ROLLBACK; BEGIN READ ONLY');
    await client.query(declares);
    await expect(client.query('COMMIT')).rejects.toMatchObject({ code: '25006' });
    for (const text of [
      `BEGIN; ${declares}; COMMIT`,
      `UPDATE public.customers SET loyalty_points = 1 WHERE id = 1; ${declares}`,
    ]) {
      await expect(client.query(text), text).rejects.toMatchObject({ code: 'CS008' });
      await client.query('ROLLBACK');
    }
    await client.end();
  });

  it('counts no longer once the function is another', async () => {
    await asSuperuser(
      site.databaseUrl,
      "CREATE OR REPLACE FUNCTION public.full_name(int) RETURNS text LANGUAGE sql STABLE AS 'SELECT upper(email) FROM public.customers WHERE id = $1'",
    );
    await within(3000, NAMES, 'held');
    const { trusted } = await site.ask<{ trusted: Record<string, string>[] }>('policy', 'trust', 'list');
    expect(trusted.find(({ signature }) => signature === 'public.full_name(integer)')?.['state']).toBe('changed since');
    await trust('function', 'public.full_name');
    await within(1500, NAMES, 'read');
  });

  it('ends when it is revoked', async () => {
    await trust('revoke', 'public.full_name(integer)');
    await within(1500, NAMES, 'held');
  });

  it('needs a person and their own key', async () => {
    const as = async (...args: readonly string[]) =>
      site.run(
        'policy',
        'trust',
        'function',
        'public.full_name',
        '--target',
        'rental-production',
        '--reason',
        'x',
        ...args,
      );
    expect((await as('--as', 'migrator')).code).toBe(1);
    const { createPersonKey } = await import('../../src/approval/person-key.ts');
    const file = join(site.directory, 'stranger.key');
    createPersonKey(file);
    expect((await as('--as', 'ada', '--key', file)).code).toBe(1);
    writeFileSync(join(site.directory, 'none'), '');
    expect((await tried(NAMES)) as object).toMatchObject({ code: 'CS001' });
    expect(served.log()).not.toContain('"level":50');
  });
});

import type { Client } from '@modelcontextprotocol/client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { call, connectClient } from '../channels/mcp/running-gateway.ts';
import { type Served, type Site, startSite } from '../fixtures/gateway.ts';
import { asSuperuser, newest } from '../fixtures/postgres.ts';

const target = 'rental-production';

/** One of each ailment in `sick`, and the same in `hidden`, which the task doesn't see. */
const AILMENTS = `
  CREATE EXTENSION pg_stat_statements;
  CREATE TABLE public.parent (id int PRIMARY KEY);
  ${['sick', 'hidden']
    .map(
      (name) => `
  CREATE TABLE public.${name} (id smallserial, parent int REFERENCES public.parent, note text) WITH (autovacuum_enabled = off);
  CREATE INDEX ${name}_note ON public.${name} (note);
  CREATE INDEX ${name}_note_again ON public.${name} (note);
  CREATE INDEX ${name}_broken ON public.${name} (id, note);
  ALTER TABLE public.${name} ADD CONSTRAINT ${name}_id_positive CHECK (id > 0) NOT VALID;
  GRANT SELECT ON public.${name} TO PUBLIC;
  CREATE POLICY ${name}_policy ON public.${name} USING (true);
  SELECT pg_catalog.setval('public.${name}_id_seq', 32000);
  INSERT INTO public.${name} (id, note) SELECT 1, repeat('x', 100) || n FROM generate_series(1, 5000) AS n;
  DELETE FROM public.${name} WHERE right(note, 1) IN ('1', '2', '3', '4', '5');
  UPDATE pg_catalog.pg_index SET indisvalid = false WHERE indexrelid = 'public.${name}_broken'::regclass;`,
    )
    .join('\n')}
  SELECT pg_catalog.pg_stat_force_next_flush();
`;

const TASK = `
purpose: see how the database does
agent: migrator
targets:
  rental-production: { read: [public.sick, public.customers] }
expires: 1h
`;

describe.each(newest)('the health of $name over MCP', ({ binaries }) => {
  let site: Site;
  let gateway: Served;
  let client: Client;

  beforeAll(async () => {
    site = await startSite(binaries, {
      schema: AILMENTS,
      settings: { shared_preload_libraries: 'pg_stat_statements' },
    });
    gateway = await site.serve();
    client = await connectClient(gateway.http, (await site.openTask(TASK)).mcp.token);
  });
  afterAll(async () => {
    await client?.close();
    await site?.remove();
  });

  const health = async (checks?: readonly string[]) => {
    const answer = await call(client, 'get_health', { target, ...(checks === undefined ? {} : { checks }) });
    expect(answer.isError).toBe(false);
    return answer;
  };

  it('tells each ailment of a table that the task may read, and nothing of one that it may not', async () => {
    const { structured, text } = await health();
    const findings = (structured['checks'] as { findings: { severity: string; subject: string; fact: string }[] }[])
      .flatMap((check) => check.findings)
      .filter(({ subject }) => subject !== null);
    expect(findings.map(({ subject }) => subject)).toEqual(findings.map(() => 'public.sick'));
    expect(findings.map(({ severity, fact }) => `${severity}: ${fact.replaceAll(/\d[\d.]*/g, '#')}`).sort()).toEqual([
      'critical: The sequence sick_id_seq stands at # of # (# %).',
      'notice: # dead rows beside # live ones (# %); last vacuumed never.',
      'notice: # rows changed since its statistics were taken (never): plans may be poor.',
      'notice: It has no primary key.',
      'notice: The foreign key sick_parent_fkey (parent) has no index: deletes and updates of what it points to scan the table.',
      'notice: The index sick_note (# MB) was not used since the statistics began.',
      'notice: The index sick_note_again (# MB) does the same as sick_note.',
      'notice: The index sick_note_again (# MB) was not used since the statistics began.',
      'warning: Every login of this database holds rights on it, by a grant to PUBLIC.',
      'warning: It has policies, but row security is off.',
      'warning: The constraint sick_id_positive was never checked against the rows that were there before it.',
      'warning: The index sick_broken (# MB) is invalid: it costs with every write and serves no query.',
    ]);
    expect(JSON.stringify(structured) + text).not.toMatch(/hidden|parent_pkey/);
    expect(structured).toMatchObject({ outcome: 'health', worst: 'critical', untrusted: true });
    const checks = structured['checks'] as { check: string; unavailable?: string }[];
    expect(checks.map(({ check }) => check)).toHaveLength(10);
    expect(checks.filter(({ unavailable }) => unavailable !== undefined)).toEqual([]);
  });

  it('sees long transactions and waiting sessions of others', async () => {
    const { structured } = await health(['connections']);
    expect(structured).toMatchObject({
      checks: [{ check: 'connections', findings: [{ fact: expect.stringMatching(/^\d+ of 100 connections/) }] }],
    });
    const hold = asSuperuser(site.databaseUrl, 'BEGIN; LOCK TABLE public.customers; SELECT pg_sleep(12)');
    const held = () =>
      asSuperuser(site.databaseUrl, "SELECT 1 FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted");
    await expect.poll(held, { timeout: 10_000 }).toHaveLength(1);
    const wait = asSuperuser(site.databaseUrl, "SET lock_timeout = '20s'; SELECT count(*) FROM public.customers");
    await expect
      .poll(async () => JSON.stringify((await health(['connections'])).structured), { timeout: 11_000 })
      .toContain('1 sessions wait for a lock.');
    await Promise.all([hold, wait]);
  });

  it('says which check could not be made while a table is locked, and makes the others', async () => {
    const hold = asSuperuser(site.databaseUrl, 'BEGIN; LOCK TABLE public.sick; SELECT pg_sleep(6)');
    const held = () =>
      asSuperuser(
        site.databaseUrl,
        "SELECT 1 FROM pg_locks WHERE relation = 'public.sick'::regclass AND mode = 'AccessExclusiveLock' AND granted",
      );
    await expect.poll(held, { timeout: 5_000 }).toHaveLength(1);
    const { structured, text } = await health(['indexes', 'constraints']);
    expect(structured).toMatchObject({
      checks: [
        { check: 'indexes', findings: [], unavailable: expect.stringContaining('lock timeout') },
        { check: 'constraints', findings: [{ subject: 'public.sick' }, { subject: 'public.sick' }] },
      ],
    });
    expect(text).toContain('indexes could not be looked at');
    await hold;
  });

  it('lists the costliest queries of anybody that touch only what the task may read', async () => {
    for (let n = 0; n < 3; n++) {
      await asSuperuser(site.databaseUrl, 'SELECT count(*) FROM public.customers WHERE id > $1', [n]);
      await asSuperuser(site.databaseUrl, 'SELECT count(*) FROM public.hidden WHERE id > $1', [n]);
      await asSuperuser(site.databaseUrl, 'SELECT 1 FROM public.customers, public.hidden LIMIT 1');
    }
    const { structured, text } = await call(client, 'get_top_queries', { target, order: 'calls', limit: 50 });
    expect(structured).toMatchObject({ outcome: 'queries', untrusted: true, leftOut: expect.any(Number) });
    const queries = structured['queries'] as { query: string; calls: number }[];
    expect(queries).toContainEqual(
      expect.objectContaining({ query: 'SELECT count(*) FROM public.customers WHERE id > $1', calls: 3 }),
    );
    expect(text).not.toMatch(/hidden|pg_stat|pg_catalog/);
    expect(structured['leftOut']).toBeGreaterThan(0);
  });

  it('says what is missing where nothing is counted', async () => {
    await asSuperuser(site.databaseUrl, 'DROP EXTENSION pg_stat_statements');
    const answer = await call(client, 'get_top_queries', { target });
    expect(answer).toMatchObject({
      isError: true,
      structured: { outcome: 'not counted', hint: expect.stringContaining('CREATE EXTENSION') },
    });
  });

  it('looks at nothing that is halted, nor at a target outside the task', async () => {
    expect((await call(client, 'get_health', { target: 'payroll' })).structured).toMatchObject({ outcome: 'denied' });
    await site.run('halt', '--target', target, '--reason', 'something looks wrong', '--as', 'ada');
    for (const tool of ['get_health', 'get_top_queries']) {
      await expect
        .poll(async () => (await call(client, tool, { target })).structured['outcome'], { timeout: 15_000 })
        .toBe('halted');
    }
  });
});

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Client } from '@modelcontextprotocol/client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { call, connectClient } from '../channels/mcp/running-gateway.ts';
import { type Site, startSite } from '../fixtures/gateway.ts';
import { asSuperuser, servers } from '../fixtures/postgres.ts';

const target = 'rental-production';
const TASK = `
purpose: make queries faster
agent: migrator
targets:
  rental-production: { read: [public.events] }
expires: 1h
`;
const SCHEMA = `
  CREATE TABLE public.events (id int PRIMARY KEY, customer int, "Kind" text, at timestamptz);
  INSERT INTO public.events SELECT n, n % 5000, 'k' || n % 7, now() - n * interval '1 minute' FROM generate_series(1, 50000) AS n;
  CREATE TABLE public.secrets (id int);
  CREATE FUNCTION public.sly(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN $1; END $$;
  ANALYZE public.events;
`;

/** hypopg comes with the system's packages only (Debian: postgresql-15-hypopg). */
const hasHypopg = (directory: string) => {
  const version = directory.match(/\/postgresql\/(\d+)\//)?.[1];
  return version !== undefined && existsSync(join('/usr/share/postgresql', version, 'extension/hypopg.control'));
};

describe.each(servers)('index advice on $name over MCP', ({ name, binaries }) => {
  const available = hasHypopg(binaries.directory);
  if (!available) console.warn(`skipped: hypopg on ${name} (Debian: postgresql-15-hypopg)`);
  let site: Site;
  let client: Client;

  beforeAll(async () => {
    site = await startSite(binaries, { schema: SCHEMA });
    const gateway = await site.serve();
    client = await connectClient(gateway.http, (await site.openTask(TASK)).mcp.token);
  });
  afterAll(async () => {
    await client?.close();
    await site?.remove();
  });

  const advise = async (...queries: readonly string[]) => call(client, 'advise_indexes', { target, queries });

  it('says what is missing where hypopg is not installed', async () => {
    expect(await advise('SELECT 1')).toMatchObject({
      isError: true,
      structured: { outcome: 'not available', hint: expect.stringContaining('CREATE EXTENSION hypopg') },
    });
  });

  it.skipIf(!available)('finds the index that helps, tells its gain, and builds nothing', async () => {
    await asSuperuser(site.databaseUrl, 'CREATE EXTENSION hypopg');
    const before = await asSuperuser(site.databaseUrl, 'SELECT indexname FROM pg_indexes ORDER BY 1');
    const { structured, isError } = await advise(
      'SELECT * FROM public.events WHERE customer = 42',
      `SELECT max(at) FROM public.events AS e WHERE e."Kind" = 'k1' AND e.customer = 7`,
      'SELECT * FROM public.events WHERE id = 1',
      'SELECT * FROM public.events WHERE nothing = 1',
      'SELECT * FROM public.events WHERE customer = $1 ORDER BY at LIMIT $2',
    );
    expect(isError).toBe(false);
    expect(structured).toMatchObject({
      outcome: 'advised',
      untrusted: true,
      queries: [
        {
          query: 1,
          indexes: [
            {
              statement: 'CREATE INDEX CONCURRENTLY ON "public"."events" ("customer")',
              table: 'public.events',
              columns: ['customer'],
              savesPercent: expect.toSatisfy((percent: number) => percent > 80),
              sizeBytes: expect.toSatisfy((bytes: number) => bytes > 100_000),
            },
          ],
        },
        { query: 2, indexes: expect.arrayContaining([expect.objectContaining({ columns: ['customer', 'Kind'] })]) },
        { query: 3, indexes: [] },
        { query: 4, indexes: [], problem: expect.stringContaining('nothing') },
        { query: 5, indexes: expect.arrayContaining([expect.objectContaining({ columns: ['customer', 'at'] })]) },
      ],
    });
    expect(await asSuperuser(site.databaseUrl, 'SELECT indexname FROM pg_indexes ORDER BY 1')).toEqual(before);
    const plan = await call(client, 'execute_sql', {
      target,
      sql: 'EXPLAIN SELECT * FROM public.events WHERE customer = 42',
    });
    expect(JSON.stringify(plan.structured)).toContain('Seq Scan');
  });

  it.skipIf(!available)('looks at nothing beyond the task, at no write, and plans no code of users', async () => {
    expect((await advise('SELECT * FROM public.secrets')).structured).toMatchObject({ outcome: 'denied' });
    for (const query of [
      'DELETE FROM public.events WHERE customer = 1',
      'SELECT public.sly(1) FROM public.events',
      'WITH gone AS (DELETE FROM public.events RETURNING 1) SELECT * FROM gone',
    ]) {
      expect((await advise(query)).structured['outcome']).toMatch(/denied|unsupported/);
    }
    expect((await advise('SELECT 1; DROP TABLE public.events')).structured).toMatchObject({
      queries: [{ problem: expect.stringContaining('several statements') }],
    });
  });
});

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { analyse } from '../../src/analysis/analyse.ts';
import { initAnalyser } from '../../src/analysis/parse.ts';
import { objectName } from '../../src/domain/object.ts';
import { loadCatalogue } from '../../src/engines/postgres/catalogue.ts';
import { servers, startTestServer, type TestServer } from '../fixtures/postgres.ts';
import { MARKS } from './fuzz/traps.ts';

/** What the fuzzer once found, as small as it could be made, with what is to be said of it. */
const FOLDER = join(import.meta.dirname, 'kept');
const KEPT = readdirSync(FOLDER).map((file) => {
  const text = readFileSync(join(FOLDER, file), 'utf8');
  const [before = '', statement = ''] = text.split('-- statement\n');
  const said = (what: string) => new RegExp(`^-- ${what}: (.*)$`, 'm').exec(before)?.[1];
  return {
    name: file.replace('.sql', ''),
    schema: before,
    statement,
    expected: said('expected'),
    vouch: said('vouch'),
    tells: said('tells'),
  };
});

describe.each(servers)('G1 what fuzzing found, on $name', ({ binaries }) => {
  let server: TestServer;
  let client: pg.Client;
  beforeAll(async () => {
    await initAnalyser();
    server = await startTestServer(binaries);
    client = new pg.Client({ connectionString: server.url('postgres') });
    await client.connect();
    await client.query(`${MARKS} CREATE ROLE kept_reader; GRANT ALL ON public.bites, public.bite_seq TO PUBLIC`);
  });
  afterAll(async () => {
    await client.end();
    await server.remove();
  });

  it.each(KEPT)('$name', async ({ schema, statement, expected, vouch, tells }) => {
    await client.query(`BEGIN; ${schema}`);
    try {
      await client.query("SET LOCAL search_path = ''");
      const catalogue = await loadCatalogue(async (sql) => (await client.query(sql)).rows);
      const analysis = analyse(statement, catalogue, ['public']);
      if ('sqlstate' in analysis) throw new Error(analysis.message);
      const { class: found, unknown, vouchable, effects } = analysis;
      expect(unknown.length > 0 ? 'unknown' : found.kind, unknown.join()).toBe(expected);
      if (vouch !== undefined) expect(vouchable).toContain(vouch);
      if (tells !== undefined)
        expect(effects.map(({ verb, object }) => `${verb} ${objectName(object)}`)).toContain(tells);
      expect(await bitesOf(statement), 'what the server does').toBe(expected === 'unknown');
    } finally {
      await client.query('ROLLBACK');
    }
  });

  /** Whether code of a user ran that wrote. */
  async function bitesOf(statement: string): Promise<boolean> {
    await client.query('SET LOCAL search_path = public; SAVEPOINT before');
    const count = async () =>
      (await client.query<{ n: string }>("SELECT last_value || ' ' || is_called AS n FROM public.bite_seq")).rows[0]?.n;
    const first = await count();
    try {
      await client.query({ text: statement, queryMode: 'extended' } as pg.QueryConfig);
    } catch (error) {
      // An older server does not know every construct.
      if (!(error instanceof pg.DatabaseError)) throw error;
      await client.query('ROLLBACK TO before');
    }
    return first !== (await count());
  }
});

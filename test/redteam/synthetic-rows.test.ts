import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { initAnalyser } from '../../src/analysis/parse.ts';
import { asSuperuser } from '../../src/redteam/master.ts';
import { loadSchema } from '../../src/redteam/schema-source.ts';
import { fillTables } from '../../src/redteam/synthetic-rows.ts';
import { newest, startTestServer, type TestServer } from '../fixtures/postgres.ts';

/** What schemas have that makes rows hard to make up; the last table takes none at all. */
const SCHEMA = `
\\restrict x
  CREATE TYPE mood AS ENUM ('glad', 'sad');
  CREATE DOMAIN plate AS text CHECK (VALUE ~ '^[A-Z]{2}-[0-9]{3,5}$');
  CREATE TABLE child (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, parent int NOT NULL REFERENCES parent_later (id));
  CREATE TABLE parent_later (id int PRIMARY KEY);
  CREATE TABLE "Odd Name" ("Key With Space" uuid PRIMARY KEY, m mood NOT NULL, p plate NOT NULL UNIQUE, code char(3) NOT NULL, tags text[] NOT NULL);
  CREATE TABLE person (id serial PRIMARY KEY, boss int REFERENCES person, email varchar(40) NOT NULL UNIQUE, age int NOT NULL CHECK (age BETWEEN 18 AND 67),
    state text NOT NULL CHECK (state IN ('new', 'old')), born date, double_age int GENERATED ALWAYS AS (age * 2) STORED);
  CREATE TABLE ticket (a int, b int, PRIMARY KEY (a, b));
  CREATE TABLE seat (a int NOT NULL, b int NOT NULL, row_number smallint NOT NULL, FOREIGN KEY (a, b) REFERENCES ticket (a, b));
  CREATE TABLE hen (id int PRIMARY KEY, egg int);
  CREATE TABLE egg (id int PRIMARY KEY, hen int NOT NULL REFERENCES hen);
  ALTER TABLE hen ADD FOREIGN KEY (egg) REFERENCES egg;
  CREATE TABLE measured (at timestamptz NOT NULL, value numeric(6, 2)) PARTITION BY RANGE (at);
  CREATE TABLE measured_2030 PARTITION OF measured FOR VALUES FROM ('2030-01-01Z') TO ('2031-01-01Z');
  CREATE TABLE impossible (id int CHECK (id > 5 AND id < 3) NOT NULL);
  ALTER TABLE person OWNER TO somebody;
`;

describe.each(newest)('rows that are made up, on $name', ({ binaries }) => {
  let server: TestServer;
  beforeAll(async () => {
    await initAnalyser();
    server = await startTestServer(binaries);
  }, 30_000);
  afterAll(() => server?.remove());

  it('fills every table that can be filled, and says which can’t be, and why', async () => {
    await asSuperuser(server.url('postgres'), async (client) => {
      const losses = await loadSchema(client, SCHEMA);
      expect(losses).toEqual([
        { statement: expect.stringContaining('CREATE TABLE child'), why: 'relation "parent_later" does not exist' },
      ]);
      const { tables, empty } = await fillTables(client);
      expect(empty).toEqual([
        { table: 'public.impossible', why: expect.stringContaining('violates check constraint') },
      ]);
      const filled = [...tables].filter(([, rows]) => rows >= 3).map(([table]) => table);
      expect(filled).toEqual(
        expect.arrayContaining([
          'public.Odd Name',
          'public.person',
          'public.seat',
          'public.hen',
          'public.egg',
          'public.measured',
        ]),
      );
      const { rows } = await client.query('SELECT count(*)::int AS owned FROM pg_tables WHERE tableowner = $1', [
        'somebody',
      ]);
      expect(rows[0].owned).toBe(1);
    });
  });
});

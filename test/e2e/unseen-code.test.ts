import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type OpenedTask, type Site, startSite } from '../fixtures/gateway.ts';
import { asSuperuser, servers } from '../fixtures/postgres.ts';

const SECRET = 'xyzzy-only-for-owners';
const TELLS = `LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'told: %', (SELECT word FROM public.secret); END $$`;
const TRIGGER = `CREATE FUNCTION own.tell() RETURNS trigger ${TELLS}`;
const FUNCTION = `CREATE FUNCTION own.tell() RETURNS text IMMUTABLE ${TELLS}`;
const ASKED = `CREATE FUNCTION own.tell(text) RETURNS text IMMUTABLE ${TELLS}`;

const SCHEMA = `
  CREATE SCHEMA own AUTHORIZATION rental_owner;
  SET ROLE rental_owner;
  CREATE TABLE public.secret (id int PRIMARY KEY, word text);
  INSERT INTO public.secret VALUES (1, '${SECRET}');
  CREATE TABLE own.inbox (id int, note text);
  INSERT INTO own.inbox VALUES (1, 'x');
  CREATE TABLE own.watched (id int, note text);
  CREATE FUNCTION own.stamp() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
  CREATE TRIGGER stamp BEFORE INSERT ON own.watched FOR EACH ROW EXECUTE FUNCTION own.stamp();
  CREATE FUNCTION own.run(command text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN EXECUTE command; RETURN true; END $$;
`;
const TASK = `
purpose: try
agent: migrator
targets:
  rental-production:
    read: [own.*]
    write: [own.*]
expires: 2h
`;

/** Each makes code, or brings some along, and sets it off; the last statement is the one that must not be tried. */
const TRICKS: readonly (readonly [what: string, ...statements: string[]])[] = [
  [
    'a trigger',
    TRIGGER,
    'CREATE TRIGGER t BEFORE INSERT ON own.inbox FOR EACH ROW EXECUTE FUNCTION own.tell()',
    "INSERT INTO own.inbox VALUES (2, 'y')",
  ],
  [
    'a trigger of TRUNCATE',
    TRIGGER,
    'CREATE TRIGGER t BEFORE TRUNCATE ON own.inbox EXECUTE FUNCTION own.tell()',
    'TRUNCATE own.inbox',
  ],
  [
    'a trigger of a view',
    'CREATE VIEW own.shown AS SELECT id FROM own.inbox',
    TRIGGER,
    'CREATE TRIGGER t INSTEAD OF INSERT ON own.shown FOR EACH ROW EXECUTE FUNCTION own.tell()',
    'INSERT INTO own.shown VALUES (2)',
  ],
  [
    'a trigger’s function, made anew',
    `CREATE OR REPLACE FUNCTION own.stamp() RETURNS trigger ${TELLS}`,
    "INSERT INTO own.watched VALUES (1, 'x')",
  ],
  [
    'what a trigger finds by name',
    'CREATE FUNCTION own.lower(text) RETURNS text LANGUAGE sql AS $$ SELECT $1 $$',
    "INSERT INTO own.watched VALUES (1, 'x')",
  ],
  [
    'a default of a new table',
    FUNCTION,
    'CREATE TABLE own.kept (id int, told text DEFAULT own.tell())',
    'INSERT INTO own.kept VALUES (1)',
  ],
  ['a default of a new column', FUNCTION, 'ALTER TABLE own.inbox ADD COLUMN told text DEFAULT own.tell()'],
  ['an index', ASKED, 'CREATE INDEX ON own.inbox (own.tell(note))'],
  ['an index, by an escaped name', ASKED, 'CREATE INDEX ON own.inbox (own.U&"tel\\006c"(note))'],
  [
    'a generated column',
    ASKED,
    'ALTER TABLE own.inbox ADD COLUMN told text GENERATED ALWAYS AS (own.tell(note)) STORED',
  ],
  ['a conversion', ASKED, 'ALTER TABLE own.inbox ALTER COLUMN note TYPE text USING own.tell(note)'],
  [
    'a domain',
    ASKED,
    'CREATE DOMAIN own.told AS text CHECK (own.tell(VALUE) IS NULL)',
    "ALTER TABLE own.inbox ADD COLUMN more own.told DEFAULT 'x'",
  ],
  [
    'a view, read by a new table',
    FUNCTION,
    'CREATE VIEW own.shown AS SELECT own.tell() AS told',
    'CREATE TABLE own.kept AS SELECT * FROM own.shown',
  ],
  [
    'a check by what is there already',
    "ALTER TABLE own.inbox ADD CHECK (own.run('DO $x$ BEGIN RAISE EXCEPTION ''told %'', (SELECT word FROM public.secret); END $x$'))",
  ],
  [
    'a rule',
    'CREATE RULE r AS ON INSERT TO own.inbox DO ALSO UPDATE own.inbox SET id = (SELECT word FROM public.secret)::int',
  ],
  ['a policy', 'CREATE POLICY p ON own.inbox USING ((SELECT word FROM public.secret)::int = 1)'],
  ['a key, whose error tells what is there', 'CREATE TABLE own.kept (id int REFERENCES public.secret)'],
  [
    'a partition',
    'CREATE TABLE own.all_of_it (id int, word text) PARTITION BY LIST (id)',
    'ALTER TABLE own.all_of_it ATTACH PARTITION public.secret DEFAULT',
  ],
  ['an heir', 'CREATE TABLE own.heir () INHERITS (public.secret)'],
  ['what a schema brings along', 'CREATE SCHEMA own_too CREATE VIEW told AS SELECT word FROM public.secret'],
];

const [newest] = servers;
describe.skipIf(newest === undefined)('G1 code that nobody has looked at', () => {
  let site: Site;
  let task: OpenedTask;

  beforeAll(async () => {
    if (newest === undefined) return;
    site = await startSite(newest.binaries, { schema: SCHEMA });
    await site.serve();
    task = await site.openTask(TASK);
  }, 60_000);
  afterAll(() => site?.remove());

  async function outcomesOf(statements: readonly string[]): Promise<readonly string[]> {
    const client = new pg.Client({ connectionString: task.postgres });
    await client.connect();
    const outcomes: string[] = [];
    for (const sql of statements) {
      const outcome = await client.query(sql).then(
        () => 'ran',
        ({ code, message, detail }: pg.DatabaseError) => `${code} ${message} ${detail}`,
      );
      outcomes.push(outcome);
    }
    await client.end();
    return outcomes;
  }

  it.each(TRICKS)('is not tried before anybody has signed it: %s', async (_, ...statements) => {
    const apart = await outcomesOf(['BEGIN', ...statements, 'COMMIT']);
    const together = await outcomesOf([statements.join('; ')]);
    expect(`${apart} ${together}`).not.toMatch(new RegExp(`${SECRET}|told:`));
    expect(apart.join('\n')).toMatch(/^(?:CS007 It could not be tried|CS002 |CS001 .*Not measured)/ms);
    expect(together[0]).toMatch(/^(?:CS002 |CS001 .*Not measured)/s);
  });

  it('doesn’t keep from trying what comes with it and has nothing to do with it', async () => {
    const migration = [
      TRIGGER,
      'CREATE TRIGGER t BEFORE INSERT ON own.inbox FOR EACH ROW EXECUTE FUNCTION own.tell()',
      'CREATE TABLE own.kept (id int PRIMARY KEY)',
      'INSERT INTO own.kept VALUES (1)',
      'CREATE INDEX ON own.kept (id)',
    ];
    const outcomes = await outcomesOf(['BEGIN', ...migration, 'COMMIT']);
    expect(outcomes.slice(0, -1)).toEqual(['ran', ...migration.map(() => 'ran')]);
    expect(outcomes.at(-1)).toMatch(/^CS001 .*own.kept: 1 inserted/s);
  });

  it('is not run unsigned where policy asks nobody', async () => {
    const file = join(site.directory, 'policies/3-changes.cedar');
    const asked = /@id\("(?:destructive|schema-change|privilege-change|upkeep)"\)[^;]*;/g;
    writeFileSync(file, readFileSync(file, 'utf8').replaceAll(asked, ''));
    const held = [
      FUNCTION,
      'CREATE VIEW own.shown AS SELECT own.tell() AS told',
      'CREATE TABLE own.kept AS SELECT * FROM own.shown',
    ].join('; ');
    await expect
      .poll(async () => (await outcomesOf(['CREATE TABLE own.free (id int)']))[0], { timeout: 5000 })
      .toMatch(/^ran|42P07/);
    expect((await outcomesOf([held]))[0]).toMatch(/^CS001 .*Nobody has looked at what it runs/s);
    expect(await asSuperuser(site.databaseUrl, "SELECT to_regproc('own.tell') AS made")).toEqual([{ made: null }]);
  });
});

import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { mcpClient, type OpenedTask, type Site, startSite } from '../fixtures/gateway.ts';
import { newest } from '../fixtures/postgres.ts';

const CANARY = 'canary-5b1f';

/** The same objects twice: in the task's tables, and beyond them; `x` stands for the name. */
const OBJECTS = (x: string, text: string) => `
  CREATE TABLE public.${x} (id int PRIMARY KEY, a text DEFAULT '${text}', b text GENERATED ALWAYS AS (a || '${text}') STORED,
    CONSTRAINT ${x}_check CHECK (a <> 'x${text}'), CONSTRAINT ${x}_out EXCLUDE USING btree (id WITH =) WHERE (a <> '${text}'));
  CREATE INDEX ${x}_expression ON public.${x} ((a || '${text}')) WHERE a <> '${text}';
  CREATE VIEW public.${x}_view AS SELECT '${text}'::text AS text;
  CREATE MATERIALIZED VIEW public.${x}_stored AS SELECT '${text}'::text AS text;
  CREATE FUNCTION public.${x}_function(a text DEFAULT '${text}') RETURNS text LANGUAGE sql SET search_path = '${text}' AS $$ SELECT '${text}' $$;
  CREATE FUNCTION public.${x}_body(a text DEFAULT '${text}') RETURNS text LANGUAGE sql RETURN '${text}';
  CREATE FUNCTION public.${x}_trigger() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
  CREATE TRIGGER ${x}_fires BEFORE INSERT ON public.${x} FOR EACH ROW WHEN (NEW.a <> '${text}') EXECUTE FUNCTION public.${x}_trigger('${text}');
  CREATE RULE ${x}_rule AS ON DELETE TO public.${x} WHERE OLD.a = '${text}' DO INSTEAD NOTHING;
  CREATE POLICY ${x}_policy ON public.${x} USING (a <> '${text}');
  CREATE STATISTICS public.${x}_statistics ON (a || '${text}'), id FROM public.${x};
  CREATE TABLE public.${x}_parts (a text) PARTITION BY LIST (a);
  CREATE TABLE public.${x}_part PARTITION OF public.${x}_parts FOR VALUES IN ('${text}');
  ALTER TABLE public.${x}_view RENAME TO ${x}_shown;
  COMMENT ON TABLE public.${x} IS '${text}'; COMMENT ON COLUMN public.${x}.a IS '${text}'; COMMENT ON INDEX public.${x}_expression IS '${text}';
  COMMENT ON CONSTRAINT ${x}_check ON public.${x} IS '${text}'; COMMENT ON FUNCTION public.${x}_function IS '${text}';
  COMMENT ON TRIGGER ${x}_fires ON public.${x} IS '${text}'; COMMENT ON POLICY ${x}_policy ON public.${x} IS '${text}';`;

const SCHEMA = `
  ${OBJECTS('near', 'told')} ${OBJECTS('far', CANARY)}
  CREATE SCHEMA away; COMMENT ON SCHEMA away IS '${CANARY}';
  CREATE DOMAIN away.form AS text DEFAULT '${CANARY}' CHECK (VALUE <> '${CANARY}');
  CREATE FOREIGN DATA WRAPPER away OPTIONS (secret '${CANARY}');
  CREATE SERVER away FOREIGN DATA WRAPPER away OPTIONS (password '${CANARY}');
  CREATE USER MAPPING FOR PUBLIC SERVER away OPTIONS (password '${CANARY}');
  CREATE FOREIGN TABLE public.far_foreign (a text OPTIONS (secret '${CANARY}')) SERVER away OPTIONS (secret '${CANARY}');
  CREATE ROLE far_role NOLOGIN; ALTER ROLE far_role SET countersign.secret = '${CANARY}'; COMMENT ON ROLE far_role IS '${CANARY}';
  DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET countersign.secret = %L', current_database(), '${CANARY}'); END $$;
  CREATE PUBLICATION far_publication FOR TABLE public.far WHERE (id > 0);`;

const TASK = `
purpose: read what is near
agent: migrator
targets:
  rental-production:
    read: [public.near, public.near_shown, public.near_stored, public.near_parts, public.near_function, public.near_body, public.near_trigger]
limits: { statementTimeout: 10s }
expires: 2h
`;

/** What the catalogues hold, with `near` or `far` for the name. */
const TEXTS = (x: string): readonly string[] => [
  `SELECT * FROM pg_proc WHERE proname ~ '^${x}_' ORDER BY oid`,
  `SELECT p.prosrc AS body, p.proconfig, pg_get_expr(p.proargdefaults, 0) FROM pg_catalog.pg_proc AS p WHERE p.proname ~ '^${x}_' ORDER BY p.oid`,
  `SELECT pg_get_functiondef(oid), pg_get_function_arguments(oid), pg_get_function_arg_default(oid, 1), pg_get_function_sqlbody(oid) FROM pg_proc WHERE proname ~ '^${x}_' ORDER BY oid`,
  `SELECT d.adbin IS NULL, pg_get_expr(d.adbin, d.adrelid) FROM pg_attrdef d WHERE d.adrelid = 'public.${x}'::regclass ORDER BY d.adnum`,
  `SELECT a.*, pg_get_expr(d.adbin, d.adrelid) AS value FROM pg_attribute a LEFT JOIN pg_attrdef d ON a.attrelid = d.adrelid AND a.attnum = d.adnum WHERE a.attrelid = 'public.${x}'::regclass ORDER BY a.attnum`,
  `SELECT conname, pg_get_constraintdef(oid), pg_get_constraintdef(c.oid, true), pg_get_expr(conbin, conrelid) FROM pg_constraint c WHERE conrelid = 'public.${x}'::regclass ORDER BY conname`,
  `SELECT string_agg(pg_get_indexdef(indexrelid), ' ' ORDER BY indexrelid) FROM pg_index WHERE indrelid = 'public.${x}'::regclass GROUP BY indrelid`,
  `SELECT pg_get_indexdef(part.indexrelid, 1, false), pg_get_expr(indexprs, indrelid), indpred FROM pg_index AS part WHERE indrelid = 'public.${x}'::regclass ORDER BY indexrelid`,
  `SELECT indexdef FROM pg_indexes WHERE tablename = '${x}' ORDER BY 1`,
  `SELECT definition FROM pg_views WHERE viewname = '${x}_shown'`,
  `SELECT definition FROM pg_catalog.pg_matviews WHERE matviewname = '${x}_stored'`,
  `SELECT definition FROM pg_rules WHERE tablename = '${x}'`,
  `SELECT pg_get_viewdef('public.${x}_shown'), pg_get_viewdef('public.${x}_shown'::regclass, true), pg_get_viewdef(c.oid, 40) FROM pg_class c WHERE relname = '${x}_shown'`,
  `SELECT pg_catalog.pg_get_ruledef(oid), pg_get_ruledef(oid, true), length(ev_action::text) FROM pg_rewrite WHERE ev_class IN (SELECT oid FROM pg_class WHERE relname ~ '^${x}') ORDER BY oid`,
  `SELECT pg_get_triggerdef(oid), pg_get_triggerdef(t.oid, true), tgargs, pg_get_expr(tgqual, tgrelid) FROM pg_trigger t WHERE tgname ~ '^${x}' ORDER BY oid`,
  `SELECT pg_get_expr(polqual, polrelid), length(polqual::text) FROM pg_policy WHERE polname ~ '^${x}'`,
  `SELECT qual, with_check FROM pg_policies WHERE tablename = '${x}'`,
  `SELECT pg_get_statisticsobjdef(oid), pg_get_statisticsobjdef_columns(oid), pg_get_statisticsobjdef_expressions(oid), stxexprs FROM pg_statistic_ext WHERE stxname ~ '^${x}'`,
  `SELECT relname, pg_get_expr(relpartbound, oid), pg_get_partkeydef(oid), pg_get_partition_constraintdef(oid), xmin IS NULL FROM pg_class WHERE relname ~ '^${x}' ORDER BY relname`,
  `SELECT description, objsubid FROM pg_description WHERE objoid IN (SELECT oid FROM pg_class WHERE relname ~ '^${x}') ORDER BY 1, 2`,
  `SELECT obj_description('public.${x}'::regclass), obj_description('public.${x}'::regclass, 'pg_class'), col_description('public.${x}'::regclass, 2), obj_description((SELECT oid FROM pg_proc WHERE proname = '${x}_function'))`,
  `SELECT c.relname, obj_description(c.oid), d.description FROM pg_class AS c LEFT JOIN pg_description d ON d.objoid = c.oid WHERE relname ~ '^${x}' ORDER BY 1, 3`,
  `SELECT obj_description(oid, 'pg_constraint') FROM pg_constraint WHERE conname ~ '^${x}' ORDER BY conname`,
  `SELECT obj_description(oid, 'pg_trigger'), pg_proc.* FROM pg_trigger, LATERAL (SELECT proname, prosrc FROM pg_catalog.pg_proc WHERE oid = tgfoid) AS pg_proc WHERE tgname ~ '^${x}'`,
  `SELECT pg_catalog.pg_proc.proname, pg_catalog.pg_proc.prosrc FROM pg_catalog.pg_proc WHERE pg_catalog.pg_proc.proname = '${x}_function'`,
  `WITH f AS (SELECT * FROM pg_proc), g AS (SELECT to_jsonb(f) ->> 'prosrc' AS body, proname FROM f) SELECT body FROM g WHERE proname = '${x}_function'`,
  `SELECT p::text ~ 'SELECT' FROM pg_proc p WHERE proname = '${x}_function'`,
  `SELECT count(*)::int, max(prosrc) FROM "pg_proc" WHERE proname = '${x}_function' AND prosrc <> '' GROUP BY prosrc ORDER BY prosrc`,
  `SELECT DISTINCT pg_get_constraintdef(oid), count(*)::int, /* ü */ pg_get_constraintdef(oid, contype <> 'ü') AS "pretty" FROM pg_constraint WHERE conname ~ '^${x}' GROUP BY oid, pg_get_constraintdef(oid) ORDER BY pg_get_constraintdef(oid)`,
  `SELECT relname, pg_get_partkeydef(p.partrelid), pg_get_expr(partexprs, partrelid) FROM pg_partitioned_table p JOIN pg_class ON pg_class.oid = partrelid WHERE relname ~ '^${x}'`,
  `SELECT pg_get_functiondef(max(oid)) FROM pg_proc WHERE proname = '${x}_function'`,
  `SELECT pg_get_functiondef('public.${x}_function'::regproc /* ( */ ), pg_get_functiondef(('public.${x}_function(text)'::regprocedure)::oid) IS NULL`,
];

/** Of nothing that a task reaches. */
const BEYOND = [
  `SELECT pg_get_functiondef((SELECT oid FROM pg_proc WHERE prosrc ~ 'c[a]nary' AND prokind = 'f' LIMIT 1))`,
  "SELECT max(pg_get_functiondef((SELECT CASE WHEN random() * n < 0 THEN 0::oid WHEN random() < 0.5 THEN 'public.near_function'::regproc ELSE 'public.far_function'::regproc END))) FROM generate_series(1, 64) AS n",
  "SELECT pg_get_viewdef(asked.oid), pg_get_indexdef(part.indexrelid), obj_description(said.oid) FROM pg_class AS asked, pg_index AS part, pg_class AS said WHERE asked.relname = 'far_shown' AND part.indrelid = 'public.far'::regclass AND said.oid = part.indrelid",
  "SELECT * FROM pg_get_viewdef('public.far_shown') AS shown",
  "SELECT prosrc(p) FROM pg_proc AS p WHERE proname = 'far_function'",
  'SELECT srvname, srvoptions FROM pg_foreign_server',
  'SELECT * FROM pg_foreign_data_wrapper',
  'SELECT * FROM pg_foreign_table',
  'SELECT * FROM pg_user_mappings',
  'SELECT attfdwoptions FROM pg_attribute WHERE attfdwoptions IS NOT NULL',
  'SELECT setconfig FROM pg_db_role_setting',
  "SELECT rolconfig FROM pg_roles WHERE rolname = 'far_role'",
  'SELECT useconfig FROM pg_user',
  "SELECT shobj_description(oid, 'pg_authid') FROM pg_roles",
  'SELECT description FROM pg_shdescription',
  "SELECT obj_description('away'::regnamespace, 'pg_namespace')",
  "SELECT typdefault, typdefaultbin FROM pg_type WHERE typname = 'form'",
  "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE contypid IN (SELECT oid FROM pg_type WHERE typname = 'form')",
  "SELECT domain_default FROM information_schema.domains WHERE domain_name = 'form'",
  'SELECT check_clause FROM information_schema.check_constraints',
  'SELECT prqual FROM pg_publication_rel',
  'SELECT rowfilter FROM pg_publication_tables',
  'SHOW ALL',
  "SELECT * FROM current_setting('countersign.secret') AS shown",
  "SELECT current_setting('countersign.secret')",
  "SELECT pg_catalog.current_setting('Countersign.Secret', true) AS value, current_setting(asked.first, true) FROM (VALUES ('countersign.secret')) AS asked (first)",
  "SELECT current_setting('countersign' || '.secret', false)",
  "EXPLAIN (ANALYZE, SETTINGS) SELECT 1 WHERE current_setting('countersign.secret') = 'x'",
];

/** Each relation of the catalogues as a whole, and each function that makes a text of an OID, asked of all there are. */
const EVERYTHING = `
  WITH known AS (
    SELECT 'ARRAY[' || string_agg(oid::text, ',') || ']::oid[]' AS oids
    FROM (SELECT oid FROM pg_class UNION SELECT oid FROM pg_proc UNION SELECT oid FROM pg_constraint UNION SELECT oid FROM pg_rewrite
          UNION SELECT oid FROM pg_trigger UNION SELECT oid FROM pg_statistic_ext UNION SELECT oid FROM pg_policy) AS o WHERE oid > 16384)
  SELECT format('SELECT * FROM %I.%I', nspname, relname) AS asked
  FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace WHERE nspname IN ('pg_catalog', 'information_schema') AND relkind IN ('r', 'v')
  UNION ALL
  SELECT format('SELECT %I(o%s) FROM unnest(%s) AS o', proname, (SELECT string_agg(CASE t WHEN 16 THEN ', true' WHEN 19 THEN ', ''pg_class''' ELSE ', 1' END, '' ORDER BY n)
    FROM unnest(proargtypes::oid[]) WITH ORDINALITY AS a (t, n) WHERE n > 1), oids)
  FROM pg_proc, known
  WHERE pronamespace = 'pg_catalog'::regnamespace AND prorettype IN (25, 1009) AND NOT proretset AND provolatile <> 'v' AND proname !~ 'tablespace|describe'
    AND proargtypes[0] IN (26, 2205) AND proargtypes::oid[] <@ ARRAY[26, 2205, 23, 16, 19]::oid[]`;

/** Where no condition can stand they are refused. */
const REFUSED = [
  'SHOW countersign.secret',
  "INSERT INTO near SELECT 1, current_setting('countersign.secret')",
  "CREATE TABLE mine AS SELECT current_setting('countersign.secret')",
  "ALTER TABLE near ADD COLUMN told text DEFAULT current_setting('countersign.secret')",
  'COPY pg_proc TO STDOUT',
  'TABLE pg_proc',
  'SELECT prosrc FROM ONLY pg_proc',
  "SELECT * FROM ROWS FROM (pg_get_viewdef('public.far_shown'))",
  "SELECT * FROM pg_get_publication_tables('far_publication')",
  'INSERT INTO near SELECT 1, prosrc FROM pg_proc LIMIT 1',
  'PREPARE p AS INSERT INTO near SELECT 1, prosrc FROM pg_proc LIMIT 1',
  'CREATE TABLE mine AS SELECT definition FROM pg_views',
  'CREATE VIEW mine AS SELECT pg_get_viewdef(oid) FROM pg_class',
  'PREPARE p AS SELECT prosrc FROM pg_proc TABLESAMPLE system (50)',
];

describe.each(newest)('texts of the catalogue, before $name', ({ binaries }) => {
  let site: Site;
  let task: OpenedTask;
  let client: pg.Client;
  let direct: pg.Client;

  beforeAll(async () => {
    site = await startSite(binaries, { schema: SCHEMA });
    await site.serve();
    task = await site.openTask(TASK);
    [client, direct] = [task.postgres, site.databaseUrl].map((url) => new pg.Client({ connectionString: url })) as [
      pg.Client,
      pg.Client,
    ];
    await Promise.all([client.connect(), direct.connect()]);
  }, 60_000);
  afterAll(async () => {
    await Promise.all([client?.end(), direct?.end()]);
    await site?.remove();
  });

  const answer = (of: pg.Client, text: string, more: Partial<pg.QueryArrayConfig> = {}) =>
    of.query({ text, rowMode: 'array', ...more }).then(
      ({ rows, fields }) => ({ rows, columns: fields.map(({ name, dataTypeID }) => `${name} ${dataTypeID}`) }),
      (error: pg.DatabaseError) => `${error.code} ${error.message} ${error.detail ?? ''}`,
    );

  it('are told of what the task reaches, byte for byte', async () => {
    for (const sql of TEXTS('near')) {
      const there = await answer(direct, sql);
      // A whole row is of no type of its own then.
      expect(JSON.stringify(there), sql).toMatch(/told|"rows":\[\[true|[1-9]/);
      expect({ sql, said: await answer(client, sql) }).toEqual({ sql, said: there });
    }
    for (const sql of [
      "SELECT current_setting('timezone'), current_setting('nobody.knows.it', true), current_setting('work_mem'), pg_catalog.current_setting('Server_Version')",
      "SELECT name, current_setting(name, true) FROM pg_settings WHERE name IN ('TimeZone', 'max_connections', 'plpgsql.check_asserts')",
    ])
      expect(await answer(client, sql)).toEqual(await answer(direct, sql));
    const bound = "SELECT prosrc, pg_get_functiondef($1) FROM pg_proc WHERE oid = $1 AND proname <> 'x'";
    const { rows } = await direct.query("SELECT 'public.near_body'::regproc::oid AS oid");
    for (const _ of [1, 2]) {
      const asked = { name: 'bound', values: [rows[0].oid] };
      expect(await answer(client, bound, asked)).toEqual(await answer(direct, bound, asked));
    }
    await client.query("PREPARE body AS SELECT prosrc FROM pg_proc WHERE proname = 'near_function'");
    expect(JSON.stringify((await client.query('EXECUTE body')).rows)).toContain('told');
  });

  it('are not told of anything else, in whatever way they are asked for', async () => {
    const mcp = await mcpClient(task.mcp);
    const known = [...TEXTS('far'), ...BEYOND];
    const silent: string[] = [];
    const explained = known.filter((_, index) => index % 4 === 0).map((sql) => `EXPLAIN (ANALYZE, VERBOSE) ${sql}`);
    for (const sql of [...known, ...explained]) {
      if (JSON.stringify(await answer(direct, sql)).includes(CANARY)) silent.push(sql);
      const said = await answer(client, sql);
      expect(typeof said, `${sql}: ${JSON.stringify(said)}`).toBe('object');
      expect(JSON.stringify(said), sql).not.toContain(CANARY);
    }
    expect(silent.length).toBeGreaterThan(30);
    for (const sql of known.slice(0, 8)) {
      const said = await mcp.call('execute_sql', { target: 'rental-production', sql });
      expect(JSON.stringify(said), sql).not.toContain(CANARY);
    }
    await mcp.close();
    expect(await answer(client, 'SELECT * FROM pg_toast.pg_toast_1255')).toMatch(/^42501/);
    await client.query("PREPARE other AS SELECT prosrc FROM pg_proc WHERE proname = 'far_function'");
    expect((await client.query('EXECUTE other')).rows).toEqual([{ prosrc: null }]);
    await client.query('BEGIN');
    await client.query('DECLARE c CURSOR FOR SELECT prosrc FROM pg_proc ORDER BY oid DESC');
    expect(JSON.stringify((await client.query('FETCH 500 FROM c')).rows)).not.toContain(CANARY);
    await client.query('ROLLBACK');
  });

  it('are in no relation of the catalogues, and told by no function of theirs, whatever there is', async () => {
    await direct.query('ANALYZE pg_proc, pg_attribute, pg_description, pg_foreign_server, pg_db_role_setting');
    const { rows } = await direct.query<{ asked: string }>(EVERYTHING);
    const told: string[] = [];
    let known = 0;
    for (const { asked } of rows) {
      // The server takes seconds to show information_schema to a superuser.
      const shown = asked.includes('information_schema') ? '' : JSON.stringify(await answer(direct, asked));
      if (shown.includes(CANARY)) known++;
      if (JSON.stringify(await answer(client, asked)).includes(CANARY)) told.push(asked);
    }
    expect(told).toEqual([]);
    expect(known).toBeGreaterThan(30);
  });

  it('are refused where no condition can stand', async () => {
    for (const sql of REFUSED) expect(await answer(client, sql), sql).toMatch(/^CS002 The catalogue would tell/);
    // Names and columns that hold no text are as they ever were, everywhere.
    const policy = "CREATE POLICY mine ON near USING (a = current_setting('countersign.secret', true))";
    expect(await answer(client, policy)).toMatch(/^CS00[12] (?!The catalogue)/);
    for (const sql of ['TABLE pg_namespace', 'SELECT relname FROM ONLY pg_class LIMIT 1', 'COPY pg_enum TO STDOUT'])
      expect(typeof (await answer(client, sql)), sql).toBe('object');
  });
});

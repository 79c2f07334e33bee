import { MASK_SCHEMA } from '../../domain/masking.ts';
import { scramPassword } from '../../domain/scram.ts';
import { CAPTURE_FUNCTION } from './capture-function.ts';
import { KEEP_FUNCTION, KEEPABLE, keepNoRowsOf, keepRowsOf } from './kept-writes.ts';
import { quoteIdentifier, quoteLiteral } from './quote.ts';

/** One statement that `countersign init` will run as the database's administrator, and why. */
export interface SetupStatement {
  readonly sql: string;
  readonly why: string;
}

/** Runs SQL as the administrator and returns rows by column name. */
export type AskAdministrator = (sql: string) => Promise<readonly Record<string, unknown>[]>;

export const SESSION_ROLE = 'countersign_session';
export const APPLY_ROLE = 'countersign_apply';
/** Takes over tables that belong to a superuser, because no login of ours may become one. */
export const OWNER_ROLE = 'countersign_owner';

/**
 * The SQL that makes the two credentials of a target and the schema that proves what was applied (G4, G6). It is shown
 * before it is run; running it again changes nothing but the passwords.
 *
 * `countersign_session` reads the catalogue, makes the profile logins of tasks and hands them their grants; it never
 * runs an actor's statement. `countersign_apply` measures and applies plans as a member of the tables' owners.
 */
export async function planSetup(
  ask: AskAdministrator,
  passwords: { readonly session: string; readonly apply: string },
  /** Whether rows are kept of writes within limits: then each table gets a trigger, else it is taken off again. */
  { keepWrites = false }: { readonly keepWrites?: boolean } = {},
): Promise<readonly SetupStatement[]> {
  const [facts] = await ask(FACTS);
  const database = String(facts?.['database']);
  const existing = new Set((await ask('SELECT rolname FROM pg_catalog.pg_roles')).map((row) => String(row['rolname'])));
  const schemas = (await ask(USER_SCHEMAS)).map((row) => String(row['nspname']));
  const owners = await ask(OWNERS);
  const isSuperuser = facts?.['superuser'] === true;
  const grantable = new Set((await ask(GRANTABLE)).map((row) => String(row['rolname'])));
  const statements: SetupStatement[] = [];
  const add = (sql: string, why: string) => statements.push({ sql, why });

  add(
    `${existing.has(SESSION_ROLE) ? 'ALTER' : 'CREATE'} ROLE ${SESSION_ROLE} LOGIN CREATEROLE NOSUPERUSER NOCREATEDB NOREPLICATION NOBYPASSRLS PASSWORD ${quoteLiteral(scramPassword(passwords.session))}`,
    'makes the logins under which tasks run; never runs a statement of an agent',
  );
  add(
    `${existing.has(APPLY_ROLE) ? 'ALTER' : 'CREATE'} ROLE ${APPLY_ROLE} LOGIN NOCREATEROLE NOSUPERUSER NOCREATEDB NOREPLICATION NOBYPASSRLS INHERIT PASSWORD ${quoteLiteral(scramPassword(passwords.apply))}`,
    'measures plans and applies approved ones; never used in an agent’s session',
  );
  if (!isSuperuser)
    add(
      `GRANT ${SESSION_ROLE}, ${APPLY_ROLE} TO CURRENT_USER`,
      'only a member may make what they are to own; taken back at the end',
    );
  // What this administrator can't hand out, `countersign doctor` tells.
  if (grantable.has('pg_read_all_stats'))
    add(
      `GRANT pg_read_all_stats TO ${SESSION_ROLE}`,
      'tells a task how the database does, and its costliest statements',
    );
  if (grantable.has('pg_signal_backend'))
    add(`GRANT pg_signal_backend TO ${SESSION_ROLE}`, 'ends a session that does not stop when told to (halt)');
  if (isSuperuser || facts?.['control'] !== true)
    add(
      `GRANT EXECUTE ON FUNCTION pg_catalog.pg_control_system() TO ${SESSION_ROLE}, ${APPLY_ROLE}, PUBLIC`,
      'every connection verifies which cluster it has reached',
    );

  if (facts?.['may_grant'] === true)
    add(
      `GRANT SET ON PARAMETER temp_file_limit TO ${SESSION_ROLE}`,
      'bounds the temporary files of tasks, which they can’t change',
    );

  const isAdopted = (owner: Record<string, unknown>): boolean =>
    isSuperuser ? owner['superuser'] === true : owner['mine'] === true;
  const adopted = owners.filter(isAdopted);
  if (adopted.length > 0) {
    if (!existing.has(OWNER_ROLE))
      add(`CREATE ROLE ${OWNER_ROLE} NOLOGIN`, 'owns what belongs to whom no login of ours may become a member of');
    if (!isSuperuser) {
      add(`GRANT ${OWNER_ROLE} TO CURRENT_USER`, 'you go on having the rights of an owner, as its member');
      for (const schema of schemas)
        add(
          `GRANT CREATE ON SCHEMA ${quoteIdentifier(schema)} TO ${OWNER_ROLE}`,
          'an owner of objects must be able to make them',
        );
    }
    const names = adopted.map(({ owner }) => String(owner));
    for (const { kind, name } of await ask(objectsOf(names))) {
      add(`ALTER ${kind} ${name} OWNER TO ${OWNER_ROLE}`, 'so that an approved plan can change it without its owner');
    }
    for (const schema of schemas) {
      const quoted = quoteIdentifier(schema);
      const why = 'what it takes over goes on working: foreign keys and views act with their owner’s rights';
      add(`GRANT USAGE ON SCHEMA ${quoted} TO ${OWNER_ROLE}`, why);
      add(`GRANT ALL ON ALL TABLES IN SCHEMA ${quoted} TO ${OWNER_ROLE}`, why);
      add(`GRANT ALL ON ALL SEQUENCES IN SCHEMA ${quoted} TO ${OWNER_ROLE}`, why);
    }
    add(`GRANT ${OWNER_ROLE} TO ${APPLY_ROLE}`, 'changes to tables need their owner’s rights');
  }
  const joined = owners.filter((row) => !isAdopted(row) && grantable.has(String(row['owner'])));
  for (const { owner } of joined.filter((row) => row['superuser'] !== true && row['owner'] !== APPLY_ROLE)) {
    add(`GRANT ${quoteIdentifier(String(owner))} TO ${APPLY_ROLE}`, 'changes to tables need their owner’s rights');
  }

  for (const schema of schemas) {
    const quoted = quoteIdentifier(schema);
    add(`GRANT USAGE, CREATE ON SCHEMA ${quoted} TO ${APPLY_ROLE}`, 'approved plans may create objects');
    add(`GRANT USAGE ON SCHEMA ${quoted} TO ${SESSION_ROLE} WITH GRANT OPTION`, 'passed on to the logins of tasks');
    add(
      `GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA ${quoted} TO ${SESSION_ROLE} WITH GRANT OPTION`,
      'passed on, table by table, to the logins of tasks that declare them',
    );
    add(
      `GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA ${quoted} TO ${SESSION_ROLE} WITH GRANT OPTION`,
      'serial columns of declared tables',
    );
    const futureOwners = new Set([
      ...joined.filter((row) => row['superuser'] !== true).map((row) => String(row['owner'])),
      APPLY_ROLE,
      ...(adopted.length > 0 ? [OWNER_ROLE] : []),
    ]);
    for (const owner of futureOwners) {
      const prefix = `ALTER DEFAULT PRIVILEGES FOR ROLE ${quoteIdentifier(owner)} IN SCHEMA ${quoted}`;
      add(
        `${prefix} GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO ${SESSION_ROLE} WITH GRANT OPTION`,
        'the same for tables still to come',
      );
      add(
        `${prefix} GRANT USAGE, SELECT ON SEQUENCES TO ${SESSION_ROLE} WITH GRANT OPTION`,
        'the same for sequences still to come',
      );
    }
  }

  for (const sql of PROOF_SCHEMA)
    add(sql, 'where the target itself keeps what was applied (exactly once) and what it was before (undo)');

  for (const { name, kept } of await ask(KEEPABLE)) {
    if (keepWrites) add(keepRowsOf(String(name)), 'keeps the rows of what tasks write within their limits (undo)');
    else if (kept === true) add(keepNoRowsOf(String(name)), 'rows of what tasks write are not kept any more');
  }

  add(
    `CREATE SCHEMA IF NOT EXISTS ${MASK_SCHEMA} AUTHORIZATION ${SESSION_ROLE}`,
    'where masking views are made, if the configuration masks columns',
  );
  add(`REVOKE ALL ON SCHEMA ${MASK_SCHEMA} FROM PUBLIC`, 'nobody reads them but by a task');

  const logins = (await ask(LOGINS)).map((row) => quoteIdentifier(String(row['rolname'])));
  const keep =
    logins.length === 0
      ? []
      : [`GRANT CONNECT, TEMPORARY ON DATABASE ${quoteIdentifier(database)} TO ${logins.join(', ')}`];
  for (const sql of keep) add(sql, 'existing logins keep what they could do');
  add(
    `GRANT CONNECT, TEMPORARY ON DATABASE ${quoteIdentifier(database)} TO ${APPLY_ROLE}`,
    'connects to this database',
  );
  add(
    `GRANT CREATE ON DATABASE ${quoteIdentifier(database)} TO ${APPLY_ROLE}`,
    'makes the schemas into which approved drops are moved, so that they can be undone',
  );
  add(
    `GRANT CONNECT ON DATABASE ${quoteIdentifier(database)} TO ${SESSION_ROLE} WITH GRANT OPTION`,
    'connects, and lets the logins of tasks connect, to this database',
  );
  add(
    `REVOKE CONNECT, TEMPORARY ON DATABASE ${quoteIdentifier(database)} FROM PUBLIC`,
    'logins of tasks get no temporary objects',
  );
  for (const { datname } of await ask(OTHER_DATABASES)) {
    const other = quoteIdentifier(String(datname));
    if (logins.length > 0)
      add(
        `GRANT CONNECT, TEMPORARY ON DATABASE ${other} TO ${logins.join(', ')}`,
        'existing logins keep what they could do',
      );
    add(
      `REVOKE CONNECT, TEMPORARY ON DATABASE ${other} FROM PUBLIC`,
      'logins of tasks reach no other database of this server',
    );
  }
  if (!isSuperuser)
    add(`REVOKE ${SESSION_ROLE}, ${APPLY_ROLE} FROM CURRENT_USER`, 'you are no member of them any more');
  return statements;
}

const FACTS = `
  SELECT current_database() AS database, r.rolsuper AS superuser,
         pg_catalog.has_parameter_privilege('temp_file_limit', 'SET WITH GRANT OPTION') AS may_grant,
         pg_catalog.has_function_privilege('pg_catalog.pg_control_system()', 'EXECUTE') AS control
  FROM pg_catalog.pg_roles AS r WHERE r.rolname = current_user`;

/** Roles that this administrator may hand out: from PostgreSQL 16 on CREATEROLE alone gives away none that others made. */
const GRANTABLE = `
  SELECT r.rolname FROM pg_catalog.pg_roles AS r, pg_catalog.pg_roles AS me
  WHERE me.rolname = current_user
    AND (me.rolsuper
      OR NOT r.rolsuper AND me.rolcreaterole AND pg_catalog.current_setting('server_version_num')::int < 160000
      OR EXISTS (SELECT FROM pg_catalog.pg_auth_members AS m WHERE m.roleid = r.oid AND m.member = me.oid AND m.admin_option))`;

const USER_SCHEMAS = `
  SELECT nspname FROM pg_catalog.pg_namespace
  WHERE nspname !~ '^(pg_|countersign_quarantine_)' AND nspname NOT IN ('information_schema', 'countersign', 'countersign_masks')
  ORDER BY nspname`;

const OWNERS = `
  SELECT DISTINCT r.rolname AS owner, r.rolsuper AS superuser, r.rolname = current_user AS mine
  FROM pg_catalog.pg_class AS c
  JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
  JOIN pg_catalog.pg_roles AS r ON r.oid = c.relowner
  WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f') AND n.nspname !~ '^(pg_|countersign_quarantine_)' AND n.nspname NOT IN ('information_schema', 'countersign', 'countersign_masks')
    AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS d WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid AND d.deptype = 'e')
  ORDER BY 1`;

/**
 * Objects of some owners in user schemas; sequences of columns, types of tables and members of extensions go with what they
 * belong to. A function that runs with its owner's rights stays: with another owner it would be another function.
 */
const objectsOf = (owners: readonly string[]) => `
  SELECT CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'S' THEN 'SEQUENCE' WHEN 'f' THEN 'FOREIGN TABLE' ELSE 'TABLE' END AS kind,
         pg_catalog.format('%I.%I', n.nspname, c.relname) AS name, CASE c.relkind WHEN 'p' THEN 0 ELSE 1 END AS place
  FROM pg_catalog.pg_class AS c
  JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
  JOIN pg_catalog.pg_roles AS r ON r.oid = c.relowner
  WHERE r.rolname IN (${owners.map(quoteLiteral).join(', ')}) AND c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f') AND n.nspname !~ '^(pg_|countersign_quarantine_)' AND n.nspname NOT IN ('information_schema', 'countersign', 'countersign_masks')
    AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS d WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid AND d.deptype IN ('e', 'a', 'i') AND (d.deptype = 'e' OR c.relkind = 'S'))
  UNION ALL
  SELECT CASE t.typtype WHEN 'd' THEN 'DOMAIN' ELSE 'TYPE' END, pg_catalog.format('%I.%I', n.nspname, t.typname), 2
  FROM pg_catalog.pg_type AS t
  JOIN pg_catalog.pg_namespace AS n ON n.oid = t.typnamespace
  JOIN pg_catalog.pg_roles AS r ON r.oid = t.typowner
  WHERE r.rolname IN (${owners.map(quoteLiteral).join(', ')}) AND n.nspname !~ '^(pg_|countersign_quarantine_)' AND n.nspname NOT IN ('information_schema', 'countersign', 'countersign_masks')
    AND (t.typtype IN ('e', 'd', 'r') OR t.typtype = 'c' AND EXISTS (SELECT FROM pg_catalog.pg_class AS c WHERE c.oid = t.typrelid AND c.relkind = 'c'))
    AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS d WHERE d.classid = 'pg_catalog.pg_type'::pg_catalog.regclass AND d.objid = t.oid AND d.deptype = 'e')
  UNION ALL
  SELECT CASE p.prokind WHEN 'p' THEN 'PROCEDURE' WHEN 'a' THEN 'AGGREGATE' ELSE 'FUNCTION' END,
         pg_catalog.format('%I.%I(%s)', n.nspname, p.proname, pg_catalog.pg_get_function_identity_arguments(p.oid)), 3
  FROM pg_catalog.pg_proc AS p
  JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
  JOIN pg_catalog.pg_roles AS r ON r.oid = p.proowner
  JOIN pg_catalog.pg_language AS l ON l.oid = p.prolang
  WHERE r.rolname IN (${owners.map(quoteLiteral).join(', ')}) AND NOT p.prosecdef AND (l.lanpltrusted OR p.prokind = 'a') AND n.nspname !~ '^(pg_|countersign_quarantine_)' AND n.nspname NOT IN ('information_schema', 'countersign', 'countersign_masks')
    AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS d WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.objid = p.oid AND d.deptype = 'e')
  ORDER BY 3, 2`;

const LOGINS = `
  SELECT rolname FROM pg_catalog.pg_roles
  WHERE rolcanlogin AND NOT rolsuper AND rolname !~ '^(cs_|countersign_|pg_)'
  ORDER BY 1`;

const OTHER_DATABASES = `
  SELECT d.datname FROM pg_catalog.pg_database AS d
  WHERE d.datallowconn AND d.datname <> pg_catalog.current_database() AND d.datname NOT IN ('template0', 'template1')
    AND pg_catalog.pg_has_role(d.datdba, 'USAGE')
  ORDER BY 1`;

/** One row for each plan applied and each write committed: the truth about what took effect (G6). */
const PROOF_SCHEMA: readonly string[] = [
  `CREATE SCHEMA IF NOT EXISTS countersign AUTHORIZATION ${APPLY_ROLE}`,
  "CREATE TABLE IF NOT EXISTS countersign.applied (plan text PRIMARY KEY, state text NOT NULL DEFAULT 'done', xid xid8 NOT NULL, at timestamptz NOT NULL)",
  'CREATE TABLE IF NOT EXISTS countersign.written (intent text PRIMARY KEY, xid xid8 NOT NULL, at timestamptz NOT NULL)',
  // Marks of before are known by their number alone, as the rows are that were kept with them.
  'ALTER TABLE countersign.written ADD COLUMN IF NOT EXISTS began timestamptz',
  'ALTER TABLE countersign.written ALTER COLUMN began SET DEFAULT pg_catalog.transaction_timestamp()',
  'CREATE TABLE IF NOT EXISTS countersign.captured_rows (change text NOT NULL, seq bigint GENERATED ALWAYS AS IDENTITY, relation text NOT NULL, op text NOT NULL, columns text[] NOT NULL, rows integer NOT NULL, before text[], after text[], PRIMARY KEY (change, seq))',
  // What approved drops have moved out of the way: how it comes back, in SQL that a person can run as well.
  'CREATE TABLE IF NOT EXISTS countersign.quarantined (change text PRIMARY KEY, at timestamptz NOT NULL, until timestamptz NOT NULL, schemas text[] NOT NULL, objects jsonb NOT NULL, definitions jsonb NOT NULL, drops text[] NOT NULL, back text[] NOT NULL, bytes bigint NOT NULL)',
  'CREATE SEQUENCE IF NOT EXISTS countersign.quarantine_number',
  // Compressing them would take longer than anything else in an apply.
  'ALTER TABLE countersign.captured_rows ALTER COLUMN before SET STORAGE EXTERNAL, ALTER COLUMN after SET STORAGE EXTERNAL, SET (toast_tuple_target = 8160)',
  ...['applied', 'written', 'captured_rows', 'quarantined'].map(
    (table) => `ALTER TABLE countersign.${table} OWNER TO ${APPLY_ROLE}`,
  ),
  `ALTER SEQUENCE countersign.quarantine_number OWNER TO ${APPLY_ROLE}`,
  CAPTURE_FUNCTION,
  `ALTER FUNCTION countersign.capture_change() OWNER TO ${APPLY_ROLE}`,
  KEEP_FUNCTION,
  `ALTER FUNCTION countersign.keep_row() OWNER TO ${APPLY_ROLE}`,
  'REVOKE ALL ON SCHEMA countersign FROM PUBLIC',
  `GRANT USAGE ON SCHEMA countersign TO ${SESSION_ROLE} WITH GRANT OPTION`,
  `GRANT SELECT, INSERT ON countersign.written TO ${SESSION_ROLE} WITH GRANT OPTION`,
  `GRANT SELECT ON countersign.applied TO ${SESSION_ROLE}`,
];

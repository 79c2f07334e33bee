import { createHmac } from 'node:crypto';
import type pg from 'pg';
import { digestOf, type Json } from '../../domain/digest.ts';
import { MASK_SCHEMA } from '../../domain/masking.ts';
import type { Profile } from '../../domain/profile.ts';
import { scramPassword } from '../../domain/scram.ts';
import { schemasOf } from '../../domain/search-path.ts';
import type { Target } from '../../domain/target.ts';
import type { Credential, ProfileLogins } from '../engine.ts';
import { defaultSearchPath } from './catalogue.ts';
import { bringAboutMaskView, viewOf } from './masks.ts';
import { quoteIdentifier, quoteLiteral, quoteQualified } from './quote.ts';

/**
 * Makes the logins of a profile exist with exactly its grants (G1): they own nothing, are member of nothing, and hold no
 * right that the task did not declare. Idempotent; another node doing the same waits for the same advisory lock.
 *
 * Passwords are derived, so that every node knows them and nobody keeps them.
 */
export async function provisionProfile(
  client: pg.Client,
  profile: Profile,
  deps: { readonly target: Target; readonly secret: string },
): Promise<ProfileLogins> {
  const { name, digest } = profileName(profile, deps.target);
  const login = (purpose: 'r' | 'w'): Credential => {
    const user = `${name}_${purpose}`;
    const password = createHmac('sha256', deps.secret).update(`${user}\n${deps.target.identity}`).digest('base64url');
    return { user, password };
  };
  const read = login('r');
  const writes = profile.write.length > 0 || profile.columns.some((grants) => grants.write.length > 0);
  const write = writes ? login('w') : undefined;

  await client.query('BEGIN');
  try {
    // Two transactions that grant on one table at once fail with "tuple concurrently updated".
    await client.query(
      "SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('countersign profiles', 0))",
    );
    const grantable = await grantablePart(client, profile);
    for (const { relation } of grantable.masked ?? []) await bringAboutMaskView(client, relation);
    const searchPath = schemasOf(await defaultSearchPath(async (sql) => (await client.query(sql)).rows));
    for (const credential of [read, ...(write === undefined ? [] : [write])]) {
      const wanted: Login = { ...credential, profile: grantable, digest, writes: credential === write, searchPath };
      await bringAbout(client, wanted, deps.target.endpoint.database);
      await refuseMore(client, wanted);
    }
    await client.query('COMMIT');
  } catch (error) {
    await client.query('ROLLBACK');
    throw error;
  }
  return write === undefined ? { read } : { read, write };
}

/** What the logins of a profile are called: by what it grants and where. */
export function profileName(
  profile: Profile,
  target: Pick<Target, 'identity'>,
): { readonly name: string; readonly digest: string } {
  const digest = digestOf({ profile: profile as unknown as Json, identity: target.identity });
  return { name: `cs_${digest.slice('sha256:'.length, 'sha256:'.length + 16)}`, digest };
}

/** Tables made since by others than the known owners were not given to the session login: `countersign doctor` says so, and how to mend it. */
async function grantablePart(client: pg.Client, profile: Profile): Promise<GrantablePart> {
  const { rows } = await client.query<{ name: string; read: boolean; write: boolean; sequence: boolean }>(
    `SELECT n.nspname || '.' || c.relname AS name,
            pg_catalog.has_table_privilege(c.oid, 'SELECT WITH GRANT OPTION') AS read,
            c.relkind <> 'S' AND pg_catalog.has_table_privilege(c.oid, 'INSERT WITH GRANT OPTION')
              AND pg_catalog.has_table_privilege(c.oid, 'UPDATE WITH GRANT OPTION')
              AND pg_catalog.has_table_privilege(c.oid, 'DELETE WITH GRANT OPTION') AS write,
            CASE c.relkind WHEN 'S' THEN pg_catalog.has_sequence_privilege(c.oid, 'USAGE WITH GRANT OPTION') ELSE false END AS sequence
     FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND n.nspname || '.' || c.relname = ANY ($1::text[])
       AND pg_catalog.has_schema_privilege(n.oid, 'USAGE WITH GRANT OPTION')`,
    [relationsOf(profile)],
  );
  const may = (right: 'read' | 'write' | 'sequence') =>
    new Set(rows.filter((row) => row[right]).map((row) => row.name));
  const [readable, writable, sequences] = [may('read'), may('write'), may('sequence')];
  return {
    ...profile,
    read: profile.read.filter((name) => readable.has(name)),
    write: profile.write.filter((name) => readable.has(name) && writable.has(name)),
    columns: profile.columns.map(({ relation, ...columns }) => ({
      relation,
      read: readable.has(relation) ? columns.read : [],
      write: readable.has(relation) && writable.has(relation) ? columns.write : [],
    })),
    ...(profile.masked === undefined
      ? {}
      : { masked: profile.masked.filter(({ relation }) => readable.has(relation.relation)) }),
    sequences: profile.write.filter((name) => sequences.has(name)),
  };
}

interface GrantablePart extends Profile {
  readonly sequences: readonly string[];
}

interface Login extends Credential {
  /** As far as the session login may pass it on: what it may not, the database refuses to the task as well. */
  readonly profile: GrantablePart;
  readonly digest: string;
  readonly writes: boolean;
  /** The database's own default, pinned: where names are looked for must be what the analysis goes by (G1). */
  readonly searchPath: readonly string[];
}

/**
 * Brings a login about, or mends it. Its comment is written last, in the same transaction: a role that carries it was
 * made here, for this profile, with this password; its grants are looked at, for a table made anew has none.
 */
async function bringAbout(client: pg.Client, login: Login, database: string): Promise<void> {
  const role = quoteIdentifier(login.user);
  const made = `countersign profile ${login.digest}`;
  const comment = `${made} password ${digestOf(login.password).slice(-16)}`;
  const { rows } = await client.query<{ comment: string | null }>(
    `SELECT pg_catalog.shobj_description(oid, 'pg_authid') AS comment FROM pg_catalog.pg_roles WHERE rolname = $1`,
    [login.user],
  );
  const [existing] = rows;
  if (existing !== undefined && existing.comment?.startsWith(made) !== true) {
    throw new Error(`the role ${login.user} exists but was not made by Countersign for this profile; drop it`);
  }
  const password = quoteLiteral(scramPassword(login.password));
  if (existing === undefined) {
    await client.query(`CREATE ROLE ${role} LOGIN NOINHERIT NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD ${password}`);
  } else if (existing.comment !== comment) {
    await client.query(`ALTER ROLE ${role} PASSWORD ${password}`);
  } else if ((await holdsItsGrants(client, login)) && (await isPinnedTo(client, login))) return;
  await grant(client, login, database);
  await client.query(`COMMENT ON ROLE ${role} IS ${quoteLiteral(comment)}`);
}

/**
 * What everybody may read, a login may read: a grant to PUBLIC opens the columns that were left out or masked (G1).
 *
 * @throws Error that says which.
 */
async function refuseMore(client: pg.Client, { user, profile }: Login): Promise<void> {
  const whole = new Set(profile.read);
  const inPart = relationsOf(profile).filter((relation) => !whole.has(relation));
  if (inPart.length === 0) return;
  const granted = new Map(profile.columns.map(({ relation, read }) => [relation, read]));
  const wanted = inPart.map((relation) => ({ relation, columns: granted.get(relation) ?? [] }));
  const { rows } = await client.query<{ column: string }>(
    `SELECT w.relation || '.' || a.attname AS column
     FROM pg_catalog.jsonb_to_recordset($2::pg_catalog.jsonb) AS w (relation text, columns jsonb)
     JOIN pg_catalog.pg_namespace AS n ON pg_catalog.starts_with(w.relation, n.nspname || '.')
     JOIN pg_catalog.pg_class AS c ON c.relnamespace = n.oid AND n.nspname || '.' || c.relname = w.relation
     JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
     WHERE NOT w.columns ? a.attname AND pg_catalog.has_column_privilege($1, c.oid, a.attnum, 'SELECT')
     ORDER BY 1 LIMIT 5`,
    [user, JSON.stringify(wanted)],
  );
  if (rows.length === 0) return;
  const open = rows.map(({ column }) => column).join(', ');
  throw new Error(
    `everybody may read ${open}, which this task may not: REVOKE SELECT on it FROM PUBLIC, and grant it to whoever needs it`,
  );
}

/** Every relation of which anything is granted. */
function relationsOf({ read, write, columns, masked = [] }: Profile): readonly string[] {
  const behind = masked.map(({ relation }) => relation.relation);
  return [...new Set([...read, ...write, ...columns.map(({ relation }) => relation), ...behind])].sort();
}

/** `$user` stands in front as it does everywhere: no login of a task has a schema of its own. */
function pathOf(schemas: readonly string[]): string {
  return ['$user', ...schemas].map(quoteIdentifier).join(', ');
}

async function isPinnedTo(client: pg.Client, { user, searchPath }: Login): Promise<boolean> {
  const { rows } = await client.query<{ path: string }>(
    `SELECT pg_catalog.substr(setting, 13) AS path FROM pg_catalog.pg_roles AS r, pg_catalog.unnest(r.rolconfig) AS setting
     WHERE r.rolname = $1 AND setting LIKE 'search_path=%'`,
    [user],
  );
  return rows[0] !== undefined && schemasOf(rows[0].path).join() === searchPath.join();
}

async function holdsItsGrants(client: pg.Client, { user, profile, writes }: Login): Promise<boolean> {
  const tables = [
    ...profile.read.map((relation) => ({ relation, right: 'SELECT' })),
    ...(writes ? profile.write.map((relation) => ({ relation, right: 'DELETE' })) : []),
  ];
  const columns = profile.columns.flatMap(({ relation, read, write }) => [
    ...read.map((column) => ({ relation, column, right: 'SELECT' })),
    ...(writes ? write.map((column) => ({ relation, column, right: 'UPDATE' })) : []),
  ]);
  for (const { relation, read } of profile.masked ?? [])
    columns.push(...read.map((column) => ({ relation: `${MASK_SCHEMA}.${relation.view}`, column, right: 'SELECT' })));
  const { rows } = await client.query<{ holds: boolean }>(
    `SELECT coalesce(bool_and(CASE WHEN w.column IS NULL THEN pg_catalog.has_table_privilege($1, c.oid, w.right)
                                   ELSE pg_catalog.has_column_privilege($1, c.oid, w.column, w.right) END), true) AS holds
     FROM pg_catalog.jsonb_to_recordset($2::pg_catalog.jsonb) AS w (relation text, "column" text, "right" text)
     JOIN pg_catalog.pg_namespace AS n ON pg_catalog.starts_with(w.relation, n.nspname || '.')
     JOIN pg_catalog.pg_class AS c ON c.relnamespace = n.oid AND n.nspname || '.' || c.relname = w.relation
     WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')`,
    [user, JSON.stringify([...tables, ...columns])],
  );
  return rows[0]?.holds === true;
}

async function grant(client: pg.Client, login: Login, database: string): Promise<void> {
  const { profile, writes } = login;
  const role = quoteIdentifier(login.user);
  for (const [setting, value] of settingsOf(profile, writes)) {
    await client.query(`ALTER ROLE ${role} SET ${setting} = ${quoteLiteral(value)}`);
  }
  for (const [setting, value] of await settableHere(client)) {
    await client.query(`ALTER ROLE ${role} SET ${setting} = ${quoteLiteral(value)}`);
  }
  await client.query(`ALTER ROLE ${role} SET search_path = ${pathOf(login.searchPath)}`);
  await client.query(`GRANT CONNECT ON DATABASE ${quoteIdentifier(database)} TO ${role}`);
  const schemas = new Set(relationsOf(profile).map((relation) => relation.slice(0, relation.indexOf('.'))));
  for (const schema of schemas) await client.query(`GRANT USAGE ON SCHEMA ${quoteIdentifier(schema)} TO ${role}`);
  if (profile.read.length > 0)
    await client.query(`GRANT SELECT ON ${profile.read.map(quoteQualified).join(', ')} TO ${role}`);
  for (const { relation, read } of profile.columns)
    await grantColumns(client, ['SELECT'], quoteQualified(relation), read, role);
  if (profile.masked !== undefined && profile.masked.length > 0)
    await client.query(`GRANT USAGE ON SCHEMA ${MASK_SCHEMA} TO ${role}`);
  for (const { relation, read } of profile.masked ?? [])
    await grantColumns(client, ['SELECT'], viewOf(relation), read, role);
  if (!writes) return;
  if (profile.write.length > 0)
    await client.query(`GRANT INSERT, UPDATE, DELETE ON ${profile.write.map(quoteQualified).join(', ')} TO ${role}`);
  for (const { relation, write } of profile.columns)
    await grantColumns(client, ['INSERT', 'UPDATE'], quoteQualified(relation), write, role);
  const written = [
    ...profile.write,
    ...profile.columns.filter(({ write }) => write.length > 0).map(({ relation }) => relation),
  ];
  const sequences = [...(await ownedSequences(client, written)), ...profile.sequences.map(quoteQualified)];
  for (const sequence of new Set(sequences)) {
    await client.query(`GRANT USAGE, SELECT ON SEQUENCE ${sequence} TO ${role}`);
  }
  await client.query(`GRANT USAGE ON SCHEMA countersign TO ${role}`);
  await client.query(`GRANT INSERT ON countersign.written TO ${role}`);
}

async function grantColumns(
  client: pg.Client,
  rights: readonly ('SELECT' | 'INSERT' | 'UPDATE')[],
  relation: string,
  columns: readonly string[],
  role: string,
): Promise<void> {
  if (columns.length === 0) return;
  const listed = columns.map(quoteIdentifier).join(', ');
  const each = rights.map((right) => `${right} (${listed})`).join(', ');
  await client.query(`GRANT ${each} ON ${relation} TO ${role}`);
}

function settingsOf(profile: Profile, writes: boolean): readonly (readonly [string, string])[] {
  return [
    ['default_transaction_read_only', writes ? 'off' : 'on'],
    ['statement_timeout', `${profile.statementTimeoutMs}ms`],
    ['lock_timeout', '5s'],
    ['idle_in_transaction_session_timeout', '5min'],
  ];
}

/**
 * What ends a session whose gateway is gone, however it went, and what bounds its temporary files: as far as this server has
 * it, and lets the session login set it. An actor can set none of these (`analysis/settings.ts`).
 */
async function settableHere(client: pg.Client): Promise<readonly (readonly [string, string])[]> {
  const { rows } = await client.query<{ temp: boolean; checks: boolean }>(
    `SELECT pg_catalog.has_parameter_privilege('temp_file_limit', 'SET') AS temp,
            pg_catalog.version() ~ 'linux|darwin|freebsd|apple' AS checks`,
  );
  return [
    ['tcp_keepalives_idle', '15'],
    ['tcp_keepalives_interval', '5'],
    ['tcp_keepalives_count', '3'],
    ...(rows[0]?.checks === true ? [['client_connection_check_interval', '1s'] as const] : []),
    ...(rows[0]?.temp === true ? [['temp_file_limit', TEMP_FILES] as const] : []),
  ];
}

/** Far beyond what a query that was thought about needs, and little to a disk. */
const TEMP_FILES = '4GB';

async function ownedSequences(client: pg.Client, tables: readonly string[]): Promise<readonly string[]> {
  const { rows } = await client.query<{ sequence: string }>(
    `SELECT pg_catalog.format('%I.%I', sn.nspname, s.relname) AS sequence
     FROM pg_catalog.pg_class AS s
     JOIN pg_catalog.pg_namespace AS sn ON sn.oid = s.relnamespace
     JOIN pg_catalog.pg_depend AS d ON d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = s.oid AND d.deptype IN ('a', 'i')
     JOIN pg_catalog.pg_class AS t ON t.oid = d.refobjid
     JOIN pg_catalog.pg_namespace AS tn ON tn.oid = t.relnamespace
     WHERE s.relkind = 'S' AND tn.nspname || '.' || t.relname = ANY ($1::text[])
     ORDER BY 1`,
    [tables],
  );
  return rows.map((row) => row.sequence);
}

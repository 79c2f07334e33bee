import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { connectionEnvironment } from '../backups/connection-environment.ts';
import { findProgram, runProgram } from '../backups/programs.ts';
import { checkRoom } from '../backups/room.ts';
import { makeWorkDirectory, takeLeftDirectories } from '../backups/work-directory.ts';
import type { Branch, BranchCopy } from '../domain/branch.ts';
import { type Digest, instantOf } from '../domain/ids.ts';
import { RefusalError } from '../domain/refusal.ts';
import type { Target } from '../domain/target.ts';
import type { Credential } from '../engines/engine.ts';
import { connectOwn, identityDigest, readIdentity } from '../engines/postgres/connect.ts';
import { quoteIdentifier, quoteLiteral } from '../engines/postgres/quote.ts';
import { planSetup } from '../engines/postgres/setup.ts';
import { type BranchServer, branchCredentials, connectServer, serverFacts } from './branch-server.ts';

const KIND = 'branch';
const JOBS = 2;

export interface CopyRequest {
  readonly branch: Pick<Branch, 'id' | 'base'>;
  readonly target: Target;
  /** Reads all of the target. */
  readonly reader: Credential;
  readonly server: BranchServer;
  readonly onProgress: (said: string) => void;
}

/**
 * Copies the target into two databases of the server for branches: a dump of one snapshot is restored as the base, and the
 * branch is cloned from it (PostgreSQL, "Template Databases"). Nothing is asked of the target but to be read.
 *
 * The copy reaches nobody: subscriptions and the passwords of foreign servers are left out. It is governed as its target
 * is, by logins of its own.
 *
 * @throws RefusalError where the server is the target's own, or older, or doesn't answer; Error when a program fails. What
 * was made by then is `dropCopy`'s to take away.
 */
export async function makeCopy(request: CopyRequest): Promise<BranchCopy> {
  const { server, branch, target } = request;
  for (const left of await takeLeftDirectories(null, KIND)) await left.remove();
  const source = await connectOwn(target, request.reader);
  const admin = await connectServer(server, server.endpoint.database).catch(async (error: unknown) => {
    await source.end();
    throw error;
  });
  const work = await makeWorkDirectory(null, KIND);
  try {
    const facts = await factsOf(source, target);
    await refuseUnfit(admin, facts, request);
    await checkRoom(work.path, facts.bytes, `A branch of ${target.id}`);
    const dump = join(work.path, 'dump');
    await dumpTarget(dump, work.path, facts, request);
    await admin.query(ONE_AT_A_TIME);
    const { base } = branch;
    await makeRoles(admin, facts.roles);
    await makeBase(admin, base, facts);
    await restoreInto(base, dump, work.path, facts, request);
    await cutOff(server, base);
    await giveSettings(server, base, facts.settings, request.onProgress);
    const baseIdentity = await govern(server, base);
    return { at: instantOf(facts.at.getTime()), identity: await clone(admin, request), baseIdentity };
  } finally {
    await work.remove();
    await Promise.allSettled([source.end(), admin.end()]);
  }
}

/**
 * Begins with the base of a branch that was made not long ago: nothing is asked of the target.
 *
 * @param from what that base is a copy of.
 */
export async function shareCopy(
  request: Pick<CopyRequest, 'branch' | 'server' | 'onProgress'>,
  from: BranchCopy,
): Promise<BranchCopy> {
  const { server, branch, onProgress } = request;
  onProgress(`cloning ${branch.base}, a copy of ${from.at}`);
  const admin = await connectServer(server, server.endpoint.database);
  try {
    await admin.query(ONE_AT_A_TIME);
    return { ...from, identity: await clone(admin, request) };
  } finally {
    await admin.end();
  }
}

/** Of two at once, one would find the roles and rights that the other is about to make. */
const ONE_AT_A_TIME = "SELECT pg_catalog.pg_advisory_lock(pg_catalog.hashtextextended('countersign branches', 0))";

/** A base that is being compared is in use: that is waited for. */
const CLONE_WAIT_MS = 60_000;
const CLONE_POLL_MS = 500;
const OBJECT_IN_USE = '55006';

/** @returns the branch's identity. */
async function clone(
  admin: pg.Client,
  { server, branch, onProgress }: Pick<CopyRequest, 'branch' | 'server' | 'onProgress'>,
): Promise<Digest> {
  const until = Date.now() + CLONE_WAIT_MS;
  for (;;) {
    try {
      await admin.query(`CREATE DATABASE ${quoteIdentifier(branch.id)} TEMPLATE ${quoteIdentifier(branch.base)}`);
      break;
    } catch (error) {
      if (!(error instanceof pg.DatabaseError) || error.code !== OBJECT_IN_USE || Date.now() > until) throw error;
      await sleep(CLONE_POLL_MS);
    }
  }
  await admin.query(`REVOKE ALL ON DATABASE ${quoteIdentifier(branch.id)} FROM PUBLIC`);
  // A clone has the rows of its template, and not what is set for it as a database.
  await giveSettings(server, branch.id, await settingsOf(admin, branch.base), onProgress);
  return govern(server, branch.id);
}

interface SourceFacts {
  readonly snapshot: string;
  readonly at: Date;
  readonly major: number;
  readonly bytes: number;
  readonly encoding: string;
  readonly provider: string;
  readonly collate: string;
  readonly ctype: string;
  readonly cluster: string;
  readonly roles: readonly string[];
  /** What `ALTER DATABASE … SET` has set: no dump of a database holds it. */
  readonly settings: readonly { readonly name: string; readonly value: string }[];
}

/** Begins the transaction that the dump is taken from, and leaves it open. */
async function factsOf(source: pg.Client, target: Target): Promise<SourceFacts> {
  await source.query('SET idle_in_transaction_session_timeout = 0');
  await source.query('BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY');
  const { rows } = await source.query<Omit<SourceFacts, 'roles' | 'settings' | 'bytes'> & { bytes: string }>(`
    SELECT pg_catalog.pg_export_snapshot() AS snapshot, pg_catalog.now() AS at,
           pg_catalog.current_setting('server_version_num')::integer / 10000 AS major,
           pg_catalog.pg_database_size(oid)::text AS bytes, pg_catalog.pg_encoding_to_char(encoding) AS encoding,
           datlocprovider AS provider, datcollate AS collate, datctype AS ctype, s.system_identifier::text AS cluster
    FROM pg_catalog.pg_database, pg_catalog.pg_control_system() AS s WHERE datname = pg_catalog.current_database()`);
  const [told] = rows;
  if (told === undefined) throw new Error('the target does not say what it is');
  const { rows: roles } = await source.query<{ rolname: string }>(
    "SELECT rolname FROM pg_catalog.pg_roles WHERE rolname !~ '^pg_' ORDER BY rolname",
  );
  const settings = await settingsOf(source, target.endpoint.database);
  return { ...told, bytes: Number(told.bytes), roles: roles.map(({ rolname }) => rolname), settings };
}

async function settingsOf(client: pg.Client, database: string): Promise<SourceFacts['settings']> {
  const { rows } = await client.query<{ name: string; value: string }>(
    `SELECT pg_catalog.split_part(c, '=', 1) AS name, pg_catalog.substr(c, pg_catalog.strpos(c, '=') + 1) AS value
     FROM pg_catalog.pg_db_role_setting, pg_catalog.unnest(setconfig) AS c
     WHERE setrole = 0 AND setdatabase = (SELECT oid FROM pg_catalog.pg_database WHERE datname = $1)`,
    [database],
  );
  return rows;
}

/** @throws RefusalError */
async function refuseUnfit(
  admin: pg.Client,
  { cluster, major }: SourceFacts,
  { target, server: { endpoint } }: CopyRequest,
): Promise<void> {
  const found = await serverFacts(admin);
  const why =
    found.cluster === cluster
      ? `is the very cluster of ${target.id}`
      : found.major < major
        ? `is of PostgreSQL ${found.major}, and ${target.id} of ${major}`
        : found.superuser
          ? undefined
          : 'is reached by a login that is no superuser';
  if (why === undefined) return;
  throw new RefusalError({
    refused: 'denied',
    message: `No branch is made: the server for branches at ${endpoint.host}:${endpoint.port} ${why}.`,
    hint: 'Let targets.<name>.branches name a superuser of a server for nothing but branches, of the same PostgreSQL or a newer one. Nothing was made.',
  });
}

/** What Countersign itself keeps in the target is not copied: what is kept of rows is out of any actor's reach, and stays so. */
async function dumpTarget(
  dump: string,
  directory: string,
  { snapshot, major, at }: SourceFacts,
  { target, reader, onProgress }: CopyRequest,
): Promise<void> {
  onProgress(`copying ${target.endpoint.database} (snapshot of ${at.toISOString()})`);
  const leftOut = [
    '--no-publications',
    '--no-subscriptions',
    '--exclude-table-data=countersign.*',
    '--exclude-schema=countersign_masks',
    '--exclude-schema=countersign_quarantine_*',
  ];
  await runProgram(
    findProgram('pg_dump', major),
    ['-Fd', '-Z', '0', '-j', String(JOBS), '--snapshot', snapshot, '-f', dump, '--no-password', ...leftOut],
    { env: await connectionEnvironment(target, reader, directory) },
  );
}

/** Nobody can log in as any of them: they are there to own things, and to be granted some. */
async function makeRoles(admin: pg.Client, roles: readonly string[]): Promise<void> {
  const { rows } = await admin.query<{ rolname: string }>('SELECT rolname FROM pg_catalog.pg_roles');
  const there = new Set(rows.map(({ rolname }) => rolname));
  for (const role of roles) if (!there.has(role)) await admin.query(`CREATE ROLE ${quoteIdentifier(role)} NOLOGIN`);
}

/** In the target's language where this server speaks it: rows are the same, but not the order of texts. */
async function makeBase(admin: pg.Client, base: string, facts: SourceFacts): Promise<void> {
  const plain = `CREATE DATABASE ${quoteIdentifier(base)} TEMPLATE template0 ENCODING ${quoteLiteral(facts.encoding)}`;
  const { rows } = await admin.query<{ there: boolean }>(
    `SELECT EXISTS (SELECT FROM pg_catalog.pg_database WHERE datcollate = $1 AND datctype = $2)
         OR EXISTS (SELECT FROM pg_catalog.pg_collation WHERE collcollate = $1 AND collctype = $2) AS there`,
    [facts.collate, facts.ctype],
  );
  const speaks = facts.provider === 'c' && rows[0]?.there === true;
  await admin.query(
    speaks
      ? `${plain} LOCALE_PROVIDER libc LC_COLLATE ${quoteLiteral(facts.collate)} LC_CTYPE ${quoteLiteral(facts.ctype)}`
      : plain,
  );
  await admin.query(`REVOKE ALL ON DATABASE ${quoteIdentifier(base)} FROM PUBLIC`);
}

async function restoreInto(
  base: string,
  dump: string,
  directory: string,
  { major }: SourceFacts,
  { server, onProgress }: CopyRequest,
): Promise<void> {
  onProgress('restoring the copy');
  const within = join(directory, 'restore');
  await mkdir(within);
  const endpoint = { ...server.endpoint, database: base };
  await runProgram(
    findProgram('pg_restore', major),
    ['-j', String(JOBS), '--exit-on-error', '--no-password', '-d', base, dump],
    { env: await connectionEnvironment({ endpoint }, server.login, within) },
  );
}

/** A copy must not be able to do what its original does elsewhere. */
async function cutOff(server: BranchServer, base: string): Promise<void> {
  const client = await connectServer(server, base);
  try {
    const { rows } = await client.query<{ drop: string }>(`
      SELECT pg_catalog.format('DROP USER MAPPING FOR %s SERVER %I', CASE umuser WHEN 0 THEN 'PUBLIC' ELSE pg_catalog.quote_ident(usename) END, srvname) AS drop
      FROM pg_catalog.pg_user_mappings`);
    for (const { drop } of rows) await client.query(drop);
  } finally {
    await client.end();
  }
}

/** Where names are looked for, and how values are read, is the same as in the target. What this server doesn't know is told. */
async function giveSettings(
  server: BranchServer,
  database: string,
  settings: SourceFacts['settings'],
  onProgress: (said: string) => void,
): Promise<void> {
  const client = await connectServer(server, server.endpoint.database);
  try {
    for (const { name, value } of settings) {
      try {
        await client.query('SELECT pg_catalog.set_config($1, $2, false)', [name, value]);
        // From the session: a list would be taken for one value, were it written as a text.
        const named = name.split('.').map(quoteIdentifier).join('.');
        await client.query(`ALTER DATABASE ${quoteIdentifier(database)} SET ${named} FROM CURRENT`);
      } catch (error) {
        onProgress(`left out the setting ${name}: ${error instanceof Error ? error.message : String(error)}`);
      }
    }
  } finally {
    await client.end();
  }
}

/** Puts it behind logins of its own, as `init` does with a target. @returns its identity. */
async function govern(server: BranchServer, database: string): Promise<Digest> {
  const { session, apply } = branchCredentials(server);
  const client = await connectServer(server, database);
  try {
    const ask = async (sql: string) => (await client.query<Record<string, unknown>>(sql)).rows;
    const passwords = { session: session.password, apply: apply.password };
    for (const { sql } of await planSetup(ask, passwords)) await client.query(sql);
    const endpoint = { ...server.endpoint, database };
    return identityDigest(
      await readIdentity(endpoint, async (sql) => {
        const { rows } = await client.query({ text: sql, rowMode: 'array' });
        return rows as (string | null)[][];
      }),
    );
  } finally {
    await client.end();
  }
}

import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type pg from 'pg';
import { connectionEnvironment } from '../backups/connection-environment.ts';
import { findProgram, runProgram } from '../backups/programs.ts';
import { checkRoom } from '../backups/room.ts';
import { makeWorkDirectory, takeLeftDirectories } from '../backups/work-directory.ts';
import { type Branch, type BranchCopy, baseOf } from '../domain/branch.ts';
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
  readonly branch: Pick<Branch, 'id'>;
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
    const facts = await factsOf(source);
    await refuseUnfit(admin, facts, request);
    await checkRoom(work.path, facts.bytes, `A branch of ${target.id}`);
    const dump = join(work.path, 'dump');
    await dumpTarget(dump, work.path, facts, request);
    // Of two at once, one would find the roles and rights that the other is about to make.
    await admin.query("SELECT pg_catalog.pg_advisory_lock(pg_catalog.hashtextextended('countersign branches', 0))");
    await makeRoles(admin, facts.roles);
    const base = baseOf(branch);
    await makeBase(admin, base, facts);
    await restoreInto(base, dump, work.path, facts, request);
    await cutOff(server, base);
    const baseIdentity = await govern(server, base);
    await admin.query(`CREATE DATABASE ${quoteIdentifier(branch.id)} TEMPLATE ${quoteIdentifier(base)}`);
    return { at: instantOf(facts.at.getTime()), identity: await govern(server, branch.id), baseIdentity };
  } finally {
    await work.remove();
    await Promise.allSettled([source.end(), admin.end()]);
  }
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
}

/** Begins the transaction that the dump is taken from, and leaves it open. */
async function factsOf(source: pg.Client): Promise<SourceFacts> {
  await source.query('SET idle_in_transaction_session_timeout = 0');
  await source.query('BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY');
  const { rows } = await source.query<Omit<SourceFacts, 'roles' | 'bytes'> & { bytes: string }>(`
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
  return { ...told, bytes: Number(told.bytes), roles: roles.map(({ rolname }) => rolname) };
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

import pg from 'pg';
import { RefusalError } from '../domain/refusal.ts';
import type { Endpoint, TargetIdentity } from '../domain/target.ts';
import { readIdentity } from '../engines/postgres/connect.ts';
import { planSetup, type SetupStatement } from '../engines/postgres/setup.ts';
import { UsageError } from './command.ts';

/** A database that an administrator's URL leads to. */
export interface Inspected {
  readonly client: pg.Client;
  readonly endpoint: Endpoint;
  readonly identity: TargetIdentity;
  readonly serverVersion: string;
  readonly tables: number;
  readonly schemas: readonly string[];
  /** Some tables by name, for a sample task. */
  readonly someTables: readonly string[];
}

const OLDEST_SERVER = 150_000;

/** Connects as the administrator and looks around; changes nothing. @throws UsageError, RefusalError */
export async function inspectDatabase(url: string): Promise<Inspected> {
  const { client, tls } = await connectAdministrator(url);
  try {
    const [facts] = await rows(
      client,
      `
      SELECT current_setting('server_version') AS version, current_setting('server_version_num')::int AS number,
             r.rolsuper OR r.rolcreaterole AS may FROM pg_catalog.pg_roles AS r WHERE r.rolname = current_user`,
    );
    if (Number(facts?.['number']) < OLDEST_SERVER) {
      throw refused(
        `The server is PostgreSQL ${String(facts?.['version'])}; 15 is the oldest that can be governed.`,
        'Upgrade the server first.',
      );
    }
    if (facts?.['may'] !== true) {
      throw refused(
        'This login can’t create roles.',
        'Give the URL of a superuser or of a login with CREATEROLE; it is used now and not kept.',
      );
    }
    const endpoint: Endpoint = { host: client.host, port: client.port, database: client.database ?? '', tls };
    const identity = await readIdentity(
      endpoint,
      async (sql) => (await client.query({ text: sql, rowMode: 'array' })).rows as (string | null)[][],
    );
    const tables = await rows(
      client,
      `
      SELECT n.nspname AS schema, c.relname AS name
      FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
      WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND n.nspname !~ '^(pg_|countersign_quarantine_)' AND n.nspname NOT IN ('information_schema', 'countersign', 'countersign_masks')
      ORDER BY 1, 2`,
    );
    return {
      client,
      endpoint,
      identity,
      serverVersion: String(facts?.['version']),
      tables: tables.length,
      schemas: [...new Set(['public', ...tables.map((table) => String(table['schema']))])],
      someTables: tables.slice(0, 3).map((table) => `${String(table['schema'])}.${String(table['name'])}`),
    };
  } catch (error) {
    await client.end();
    throw error;
  }
}

/** The SQL that makes the two credentials, with why; nothing of it has run. */
export function setupOf(
  { client }: Inspected,
  passwords: { readonly session: string; readonly apply: string },
  keepWrites: boolean,
): Promise<readonly SetupStatement[]> {
  return planSetup((sql) => rows(client, sql), passwords, { keepWrites });
}

/** Runs it, all or nothing. */
export async function runSetup({ client }: Inspected, statements: readonly SetupStatement[]): Promise<void> {
  await client.query('BEGIN');
  try {
    for (const { sql } of statements) {
      await client.query(sql).catch((error: unknown) => {
        throw refused(
          `The database refused \`${sql}\`: ${error instanceof Error ? error.message : String(error)}`,
          'Nothing was changed. A superuser may do all of it.',
        );
      });
    }
    await client.query('COMMIT');
  } catch (error) {
    await client.query('ROLLBACK');
    throw error;
  }
}

async function rows(client: pg.Client, sql: string): Promise<Record<string, unknown>[]> {
  return (await client.query<Record<string, unknown>>(sql)).rows;
}

async function connectAdministrator(text: string): Promise<{ client: pg.Client; tls: Endpoint['tls'] }> {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^postgres(ql)?:$/.test(url.protocol)) {
    throw new UsageError('--database is no PostgreSQL URL.', 'Write postgres://user:password@host:5432/database');
  }
  const mode = url.searchParams.get('sslmode') ?? 'prefer';
  url.searchParams.delete('sslmode');
  const attempt = async (ssl: pg.ClientConfig['ssl']): Promise<pg.Client> => {
    const client = new pg.Client({
      connectionString: url.href,
      ssl: ssl ?? false,
      application_name: 'countersign init',
      connectionTimeoutMillis: 10_000,
    });
    await client.connect();
    return client;
  };
  try {
    if (mode === 'disable') return { client: await attempt(false), tls: 'disable' };
    if (mode === 'verify-full' || mode === 'verify-ca')
      return { client: await attempt({ rejectUnauthorized: true }), tls: 'verify-full' };
    try {
      return { client: await attempt({ rejectUnauthorized: false }), tls: 'require' };
    } catch (error) {
      const noTls = error instanceof Error && /does not support SSL/.test(error.message);
      if (mode === 'require' || !noTls) throw error;
      if (!LOOPBACK.test(url.hostname)) {
        throw refused(
          `${url.hostname} does not offer TLS, and the way to it leaves this machine.`,
          'Turn TLS on there; or add ?sslmode=disable to the URL if the way is safe.',
        );
      }
      return { client: await attempt(false), tls: 'disable' };
    }
  } catch (error) {
    if (error instanceof RefusalError) throw error;
    const message = error instanceof Error ? error.message : String(error);
    throw new RefusalError(
      {
        refused: 'unavailable',
        message: `The database can’t be reached: ${message || 'no answer'}.`,
        hint: 'Check the URL: host, port, user, password, database.',
      },
      { cause: error },
    );
  }
}

const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/;

function refused(message: string, hint: string): RefusalError {
  return new RefusalError({ refused: 'denied', message, hint });
}

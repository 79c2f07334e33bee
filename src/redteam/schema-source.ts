import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import type pg from 'pg';
import { splitStatements } from '../analysis/parse.ts';
import { RefusalError } from '../domain/refusal.ts';
import type { Endpoint } from '../domain/target.ts';
import { KEEPING_TRIGGER } from '../engines/postgres/kept-writes.ts';
import { quoteIdentifier } from '../engines/postgres/quote.ts';

/** Statements of a schema that the copy could not be given, and why. */
export interface SchemaLoss {
  readonly statement: string;
  readonly why: string;
}

/**
 * The definitions of a target, without a row: read once, with the credential that hands out reading rights.
 *
 * @throws RefusalError when there is no pg_dump, or the target refuses.
 */
export async function dumpSchema(
  endpoint: Endpoint,
  credential: { readonly user: string; readonly password: string },
): Promise<string> {
  const args = [
    '--schema-only',
    '--exclude-schema=countersign',
    '--exclude-schema=countersign_quarantine_*',
    '--no-publications',
    '--no-subscriptions',
  ];
  try {
    const { stdout } = await promisify(execFile)('pg_dump', args, {
      maxBuffer: 256 * 1024 * 1024,
      env: {
        ...process.env,
        PGHOST: endpoint.host,
        PGPORT: String(endpoint.port),
        PGDATABASE: endpoint.database,
        PGUSER: credential.user,
        PGPASSWORD: credential.password,
        PGSSLMODE: endpoint.tls === 'disable' ? 'disable' : 'require',
        PGCONNECT_TIMEOUT: '10',
      },
    });
    return stdout;
  } catch (cause) {
    const missing = cause instanceof Error && 'code' in cause && cause.code === 'ENOENT';
    const why =
      cause instanceof Error ? String(('stderr' in cause && cause.stderr) || cause.message).trim() : String(cause);
    throw new RefusalError(
      {
        refused: 'unavailable',
        message: missing ? 'There is no pg_dump on this machine.' : `The schema of the target can’t be read: ${why}`,
        hint: 'Install postgresql-client of the server’s major or newer; or write the schema to a file where you can, and give it: --schema FILE.sql',
      },
      { cause },
    );
  }
}

export function readSchemaFile(file: string): Promise<string> {
  return readFile(file, 'utf8');
}

/** The server's major that pg_dump says it has read. */
export function majorOf(schema: string): number | undefined {
  const [, major] = /^-- Dumped from database version (\d+)/m.exec(schema) ?? [];
  return major === undefined ? undefined : Number(major);
}

/**
 * Makes the objects of a schema on the copy. Roles that it names are made first, without a login and without a right.
 *
 * @param client a superuser’s. @returns what was left out; the rest is there.
 */
export async function loadSchema(client: pg.Client, text: string): Promise<readonly SchemaLoss[]> {
  // Commands to psql itself, which newer versions of pg_dump write.
  const sql = text.replace(/^\\(?:restrict|unrestrict|connect)\b.*$/gm, '');
  const statements = splitStatements(sql);
  if ('sqlstate' in statements) {
    throw new RefusalError({
      refused: 'denied',
      message: `The schema is no SQL: ${statements.message}.`,
      hint: 'Give what `pg_dump --schema-only` writes.',
    });
  }
  for (const role of rolesIn(sql)) await makeRole(client, role);
  const losses: SchemaLoss[] = [];
  for (const { text: statement } of statements) {
    // Laid on the copy anew, as the configuration says, with all else that init makes.
    if (OWN_TRIGGER.test(statement)) continue;
    if (
      /\b(?:cs_[0-9a-f]{16}_[rw]|countersign_(?:session|apply|owner))\b/.test(statement) &&
      /^\s*(?:GRANT|REVOKE|ALTER DEFAULT)/m.test(statement)
    )
      continue;
    await client.query(statement).catch((error: unknown) => {
      losses.push({
        statement: (statement.replace(/^\s*(?:--[^\n]*\n\s*)*/, '').split('\n')[0] ?? '').slice(0, 120),
        why: error instanceof Error ? error.message : String(error),
      });
    });
  }
  await client.query('RESET ROLE; RESET ALL');
  return losses;
}

const OWN_TRIGGER = new RegExp(`^(?:CREATE TRIGGER|ALTER TABLE [^;]*? TRIGGER) "${KEEPING_TRIGGER}"`, 'm');

const OWNER =
  /\b(?:OWNER TO|(?:GRANT|REVOKE)\s[^;]*?\s(?:TO|FROM)|FOR ROLE|AUTHORIZATION|SET ROLE|CREATE POLICY\s[^;]*?\sTO)\s+("(?:[^"]|"")+"|[a-z_][\w$]*)/gi;
const NO_ROLES = new Set([
  'public',
  'current_user',
  'session_user',
  'current_role',
  'postgres',
  'none',
  'default',
  'with',
  'cascade',
  'restrict',
]);

function rolesIn(sql: string): ReadonlySet<string> {
  const found = [...sql.matchAll(OWNER)].map(([, name = '']) =>
    name.startsWith('"') ? name.slice(1, -1).replaceAll('""', '"') : name.toLowerCase(),
  );
  return new Set(found.filter((name) => !NO_ROLES.has(name) && !name.startsWith('pg_')));
}

async function makeRole(client: pg.Client, role: string): Promise<void> {
  const { rowCount } = await client.query('SELECT FROM pg_catalog.pg_roles WHERE rolname = $1', [role]);
  if (rowCount === 0) await client.query(`CREATE ROLE ${quoteIdentifier(role)} NOLOGIN`);
}

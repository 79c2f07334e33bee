import { createHmac } from 'node:crypto';
import pg from 'pg';
import { RefusalError } from '../domain/refusal.ts';
import type { Endpoint, Target } from '../domain/target.ts';
import type { Credential, TargetCredentials } from '../engines/engine.ts';
import { clientConfig } from '../engines/postgres/connect.ts';
import { APPLY_ROLE, SESSION_ROLE } from '../engines/postgres/setup.ts';

/** A server for nothing but branches, and a superuser of it. */
export interface BranchServer {
  readonly endpoint: Endpoint;
  readonly login: Credential;
}

/** @throws RefusalError where it can't be reached. */
export async function connectServer({ endpoint, login }: BranchServer, database: string): Promise<pg.Client> {
  const client = new pg.Client({
    ...clientConfig({ ...endpoint, database }, login),
    application_name: 'countersign branches',
  });
  client.on('error', () => undefined /* the query that waits for an answer reports it */);
  try {
    await client.connect();
    await client.query("SET search_path = ''; SET statement_timeout = 0; SET client_min_messages = warning");
    return client;
  } catch (error) {
    await client.end().catch(() => undefined);
    throw new RefusalError(
      {
        refused: 'unavailable',
        message: `The server for branches at ${endpoint.host}:${endpoint.port} can't be used: ${error instanceof Error ? error.message : String(error)}.`,
        hint: 'See that it runs, and that targets.<name>.branches names a superuser of it.',
      },
      { cause: error },
    );
  }
}

/** What a server for branches says of itself. */
export interface ServerFacts {
  /** Its system identifier. */
  readonly cluster: string;
  readonly major: number;
  readonly superuser: boolean;
  /** Databases that are called as branches are. */
  readonly branches: readonly string[];
}

export async function serverFacts(client: pg.Client): Promise<ServerFacts> {
  const { rows } = await client.query<ServerFacts>(`
    SELECT s.system_identifier::text AS cluster, pg_catalog.current_setting('server_version_num')::integer / 10000 AS major,
           (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user) AS superuser,
           ARRAY(SELECT datname::text FROM pg_catalog.pg_database WHERE datname ~ '^branch_[0-9a-f]{12}(_base)?$' ORDER BY 1) AS branches
    FROM pg_catalog.pg_control_system() AS s`);
  if (rows[0] === undefined) throw new Error('the server does not say what it is');
  return rows[0];
}

/** The two logins of a branch. Every node derives the same, and nobody keeps them. */
export function branchCredentials({ login }: BranchServer): TargetCredentials {
  const derived = (user: string): Credential => ({
    user,
    password: createHmac('sha256', login.password).update(`${user} in branches`).digest('base64url'),
  });
  return { session: derived(SESSION_ROLE), apply: derived(APPLY_ROLE) };
}

/** One of a branch's two databases as what connections to it are verified against (G9). */
export function copyAsTarget(
  { endpoint }: BranchServer,
  database: string,
  { id, identity, of }: Pick<Target, 'id' | 'identity'> & { readonly of: Target },
): Target {
  return {
    id,
    engine: of.engine,
    environment: of.environment,
    owner: of.owner,
    endpoint: { ...endpoint, database },
    identity,
    ...(of.maxSessions === undefined ? {} : { maxSessions: of.maxSessions }),
    ...(of.secrets === undefined ? {} : { secrets: of.secrets }),
    ...(of.masks === undefined ? {} : { masks: of.masks }),
  };
}

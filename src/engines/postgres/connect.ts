import type net from 'node:net';
import type tls from 'node:tls';
import pg from 'pg';
import { digestOf, type Json } from '../../domain/digest.ts';
import { RefusalError } from '../../domain/refusal.ts';
import type { Endpoint, Target, TargetIdentity } from '../../domain/target.ts';
import type { Credential } from '../engine.ts';
import type { EngineSession } from '../session.ts';
import { carryOver } from './session.ts';

const CONNECT_TIMEOUT_MS = 5000;

/** Runs one SQL text and returns its rows, values in text form. */
export type RunSql = (sql: string) => Promise<readonly (readonly (string | null)[])[]>;

/**
 * Opens a connection of the gateway's own, with names and formats pinned.
 *
 * @throws RefusalError `unavailable` when the target can't be reached, `identityMismatch` when it is not the pinned one (G9).
 */
export async function connectOwn(target: Target, credential: Credential): Promise<pg.Client> {
  const client = new pg.Client({ ...clientConfig(target.endpoint, credential), application_name: 'countersign' });
  client.on('error', () => undefined /* the query that waits for an answer reports it */);
  await start(client, target);
  try {
    await client.query(PINNED_SETTINGS);
    await verifyIdentity(target, async (sql) => {
      const result = await client.query({ text: sql, rowMode: 'array' });
      return result.rows as (string | null)[][];
    });
  } catch (error) {
    await client.end();
    throw error;
  }
  return client;
}

const PINNED_SETTINGS = `
  SET search_path = '';
  SET DateStyle = 'ISO, YMD'; SET IntervalStyle = 'postgres'; SET TimeZone = 'UTC';
  SET extra_float_digits = 1; SET bytea_output = 'hex'; SET client_min_messages = warning;
  SET statement_timeout = '30s'; SET idle_in_transaction_session_timeout = '60s'`;

/** Opens a connection for an actor's session; its bytes are ours from then on. @throws as `connectOwn`. */
export async function connectSession(target: Target, credential: Credential): Promise<EngineSession> {
  const client = new pg.Client({
    ...clientConfig(target.endpoint, credential),
    application_name: 'countersign session',
  });
  const parameters = new Map<string, string>();
  const wire = (client as unknown as { connection: WireConnection }).connection;
  wire.on('parameterStatus', (status) => parameters.set(status.parameterName, status.parameterValue));
  await start(client, target);
  const started = client as unknown as { processID: number; secretKey: number };
  const stream = wire.stream;
  // The library's part ends here: from now on nobody but the session reads this socket.
  for (const event of ['data', 'end', 'error', 'close', 'drain']) stream.removeAllListeners(event);
  wire.removeAllListeners();
  client.removeAllListeners();
  const session = carryOver({
    stream,
    processId: started.processID,
    secretKey: started.secretKey,
    parameters,
    host: target.endpoint.host,
    port: target.endpoint.port,
  });
  try {
    await verifyIdentity(target, async (sql) => (await session.own(sql)).flatMap((result) => result.rows));
  } catch (error) {
    session.destroy();
    throw error;
  }
  return session;
}

/** The part of node-postgres' connection that is used when its socket is taken over. */
interface WireConnection extends NodeJS.EventEmitter {
  readonly stream: net.Socket | tls.TLSSocket;
  on(event: 'parameterStatus', listener: (status: { parameterName: string; parameterValue: string }) => void): this;
}

/** How node-postgres reaches a target. */
export function clientConfig(endpoint: Endpoint, credential: Credential): pg.ClientConfig {
  return {
    host: endpoint.host,
    port: endpoint.port,
    database: endpoint.database,
    user: credential.user,
    password: credential.password,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    keepAlive: true,
    ssl:
      endpoint.tls === 'disable'
        ? false
        : endpoint.tls === 'require'
          ? { rejectUnauthorized: false }
          : {
              rejectUnauthorized: true,
              ...(endpoint.tlsAuthorities === undefined ? {} : { ca: endpoint.tlsAuthorities }),
            },
  };
}

async function start(client: pg.Client, target: Target): Promise<void> {
  try {
    await client.connect();
  } catch (error) {
    throw new RefusalError(
      {
        refused: 'unavailable',
        message: `The target ${target.id} can't be reached: ${error instanceof Error ? error.message : String(error)}.`,
        hint: 'Nothing was executed. Try again; if it stays so, an operator must look at the target and at the gateway’s log.',
      },
      { cause: error },
    );
  }
}

/** Asks who is at the other end. @param ask runs SQL on the connection in question. */
export async function readIdentity(endpoint: Endpoint, ask: RunSql): Promise<TargetIdentity> {
  const [row] = await ask(`
    SELECT s.system_identifier::text, d.oid::text, d.datname::text
    FROM pg_catalog.pg_control_system() AS s, pg_catalog.pg_database AS d
    WHERE d.datname = pg_catalog.current_database()`);
  const [systemIdentifier, databaseOid, database] = row ?? [];
  if (systemIdentifier == null || databaseOid == null || database == null) {
    throw new Error('the server does not tell who it is');
  }
  return {
    engine: 'postgres',
    host: endpoint.host,
    port: endpoint.port,
    database,
    databaseOid: Number(databaseOid),
    systemIdentifier,
  };
}

export function identityDigest(identity: TargetIdentity): ReturnType<typeof digestOf> {
  return digestOf(identity as unknown as Json);
}

/** @throws RefusalError `identityMismatch` when the other end is not the pinned target (G9). */
async function verifyIdentity(target: Target, ask: RunSql): Promise<TargetIdentity> {
  const found = await readIdentity(target.endpoint, ask);
  if (identityDigest(found) === target.identity) return found;
  throw new RefusalError({
    refused: 'identityMismatch',
    message: `What answers at ${found.host}:${found.port} is not the pinned target ${target.id}.`,
    detail: `It is database ${found.database} (oid ${found.databaseOid}) of the cluster ${found.systemIdentifier}.`,
    hint: 'Nothing was executed. If the target was moved or restored on purpose, a person pins it anew with: countersign init',
  });
}

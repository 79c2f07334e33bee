import pg from 'pg';
import type { Endpoint } from '../../domain/target.ts';
import type { Credential } from '../engine.ts';
import { clientConfig } from './connect.ts';

/**
 * Tries whether a login may copy the files of a server: it opens a connection for replication, as `pg_basebackup` does.
 *
 * @returns what the server says against it; `null` when it lets us.
 */
export async function refusesReplication(endpoint: Endpoint, credential: Credential): Promise<string | null> {
  const client = new pg.Client({
    ...clientConfig(endpoint, credential),
    application_name: 'countersign',
    // Known to the library, and not to its types.
    ...({ replication: 'true' } as object),
  });
  client.on('error', () => undefined /* whoever connects or asks is told */);
  try {
    await client.connect();
    await client.query('IDENTIFY_SYSTEM');
    return null;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  } finally {
    await client.end().catch(() => undefined /* it never was one */);
  }
}

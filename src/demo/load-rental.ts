import { readFile } from 'node:fs/promises';
import pg from 'pg';

/**
 * Makes the car-rental database on a server.
 *
 * @param admin connection string of a superuser, for any database of the server.
 * @param wanted its name, and its size: scale 1 is about 200,000 rows.
 * @returns the connection string of the new database for the same superuser.
 */
export async function loadRental(
  admin: string,
  wanted: { readonly database: string; readonly scale: number },
): Promise<string> {
  const url = new URL(admin);
  await withClient(admin, async (client) => {
    await client.query(`CREATE DATABASE ${pg.escapeIdentifier(wanted.database)}`);
    await client.query(
      `DO $$ BEGIN CREATE ROLE rental_owner NOLOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$`,
    );
    await client.query(`DO $$ BEGIN CREATE ROLE rental_app LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$`);
  });
  url.pathname = `/${wanted.database}`;
  await withClient(url.href, async (client) => {
    await client.query('GRANT ALL ON SCHEMA public TO rental_owner');
    await client.query(`ALTER DATABASE ${pg.escapeIdentifier(wanted.database)} OWNER TO rental_owner`);
    await client.query('SET ROLE rental_owner');
    await client.query('SELECT set_config($1, $2, false)', ['rental.scale', String(wanted.scale)]);
    await client.query(await sqlOf('schema.sql'));
    await client.query(await sqlOf('data.sql'));
    await client.query('GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO rental_app');
    await client.query('RESET ROLE; ANALYZE');
  });
  return url.href;
}

function sqlOf(file: string): Promise<string> {
  return readFile(new URL(`../../scenarios/rental/${file}`, import.meta.url), 'utf8');
}

async function withClient(url: string, use: (client: pg.Client) => Promise<void>): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await use(client);
  } finally {
    await client.end();
  }
}

import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Content } from '../../../src/domain/backup.ts';
import { readContent } from '../../../src/engines/postgres/content.ts';
import { newest, startTestServer, type TestServer } from '../../fixtures/postgres.ts';

describe.each(newest)('what a backup is compared by, of large objects, on $name', ({ binaries }) => {
  let server: TestServer;
  let client: pg.Client;
  beforeAll(async () => {
    server = await startTestServer(binaries);
    client = new pg.Client({ connectionString: server.url('postgres') });
    await client.connect();
  });
  afterAll(async () => {
    await client.end();
    await server.remove();
  });

  const contentAfter = async (sql: string): Promise<Content> => {
    await client.query(sql);
    await client.query('BEGIN');
    const content = await readContent(client);
    await client.query('ROLLBACK');
    return content;
  };
  const hashAfter = async (sql: string) => (await contentAfter(sql)).largeObjectsHash;

  it('is nothing where there are none, and something where one is empty', async () => {
    expect(await contentAfter('SELECT 1')).toMatchObject({ largeObjects: 0, largeObjectsHash: null });
    expect((await contentAfter('SELECT lo_create(1)')).largeObjectsHash).toMatch(/^-?\d+ -?\d+$/);
  });

  it('changes with a byte, wherever it is, and with whose it is', async () => {
    const before = await hashAfter("SELECT lo_put(1, 3000000, 'end'), lo_from_bytea(2, 'two'), lo_create(3)");
    const hashes = [
      before,
      await hashAfter("SELECT lo_put(1, 1500000, 'x')"),
      await hashAfter("SELECT lo_put(1, 3000002, 'D')"),
      await hashAfter("SELECT lo_unlink(2), lo_unlink(3), lo_create(2), lo_from_bytea(3, 'two')"),
    ];
    expect(new Set(hashes).size).toBe(hashes.length);
  });

  it('is the same for a hole and for zeros', async () => {
    const hole = await hashAfter(
      "SELECT lo_unlink(1), lo_unlink(2), lo_unlink(3), lo_create(9), lo_put(9, 5000, 'end')",
    );
    expect(await hashAfter("SELECT lo_put(9, 0, repeat(E'\\\\000', 5000)::bytea)")).toBe(hole);
  });
});

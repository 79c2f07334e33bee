import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import {
  CreateBucketCommand,
  DeleteObjectCommand,
  ListMultipartUploadsCommand,
  ListPartsCommand,
  PutObjectCommand,
  PutObjectLockConfigurationCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { s3Store } from '../../src/backups/s3-store.ts';
import { type Site, startSite } from '../fixtures/gateway.ts';
import { hasObjectLockServer, type ObjectLockServer, startObjectLockServer } from '../fixtures/object-lock-server.ts';
import { asSuperuser, servers } from '../fixtures/postgres.ts';
import { countersign } from '../fixtures/run-command.ts';
import { startTcpProxy, type TcpProxy } from '../fixtures/tcp-proxy.ts';

const BIN = new URL('../../bin/countersign.js', import.meta.url).pathname;
const host = servers.filter(({ binaries }) => hasObjectLockServer && binaries.from === 'host').slice(0, 1);

if (host.length === 0) it.skip('needs an S3 server with Object Lock', () => undefined);

describe.each(host)('G10 backups in a bucket with Object Lock, of $name', ({ binaries }) => {
  let site: Site;
  let server: ObjectLockServer;
  let wire: TcpProxy;
  let client: S3Client;
  let first: string;

  const storeOf = (bucket: string) =>
    s3Store({ bucket, region: 'us-east-1', endpoint: server.url, prefix: 'backups/', credentials: server });

  beforeAll(async () => {
    [server, site] = await Promise.all([
      startObjectLockServer(),
      startSite(binaries, {
        scale: 0.02,
        // Bytes that no compression makes less of.
        schema: `
          CREATE TABLE public.noise (id int, b bytea);
          INSERT INTO public.noise SELECT i, (SELECT string_agg(sha512((i * 1000 + j)::text::bytea), '') FROM generate_series(1, 1000) AS j) FROM generate_series(1, 200) AS i;
          CREATE ROLE countersign_backup LOGIN PASSWORD 'backup-secret' IN ROLE pg_read_all_data`,
      }),
    ]);
    wire = await startTcpProxy({ host: '127.0.0.1', port: server.port });
    client = new S3Client({
      endpoint: server.url,
      region: 'us-east-1',
      forcePathStyle: true,
      credentials: server,
      requestChecksumCalculation: 'WHEN_REQUIRED',
    });
    for (const [bucket, mode] of [
      ['locked', 'COMPLIANCE'],
      ['governed', 'GOVERNANCE'],
      ['open', undefined],
    ] as const) {
      await client.send(new CreateBucketCommand({ Bucket: bucket, ObjectLockEnabledForBucket: mode !== undefined }));
      if (mode === undefined) continue;
      const rule = { DefaultRetention: { Mode: mode, Days: 1 } };
      await client.send(
        new PutObjectLockConfigurationCommand({
          Bucket: bucket,
          ObjectLockConfiguration: { ObjectLockEnabled: 'Enabled', Rule: rule },
        }),
      );
    }
    await asSuperuser(site.databaseUrl, 'GRANT CONNECT ON DATABASE rental TO countersign_backup');
    const file = (name: string, text: string) => writeFileSync(join(site.directory, name), text, { mode: 0o600 });
    file('keys/backup-login', 'backup-secret');
    file('keys/s3-id', server.accessKeyId);
    file('keys/s3-secret', server.secretAccessKey);
    const made = await countersign(['backup', 'key', join(site.directory, 'keys/backup.age'), '--json']);
    const { recipient } = made.json<{ recipient: string }>();
    site.edit((text) =>
      text
        .replace(
          /^( {4}credentials:\n)/m,
          "$1      backup: { user: countersign_backup, password: '${file:keys/backup-login}' }\n",
        )
        .replace(
          /^( {4}credentials:\n)/m,
          `    backup:\n      store: { s3: { bucket: locked, endpoint: 'http://127.0.0.1:${wire.port}', prefix: backups/, accessKeyId: '\${file:keys/s3-id}', secretAccessKey: '\${file:keys/s3-secret}' } }\n      recipients: [${recipient}]\n      identity: '\${file:keys/backup.age}'\n      workDirectory: under-way\n$1`,
        ),
    );
  }, 120_000);
  afterAll(async () => {
    client?.destroy();
    await wire?.close();
    await Promise.all([site?.remove(), server?.remove()]);
  });

  const add = async (bucket: string, name: string, content: Buffer | string) => {
    const path = join(site.directory, randomBytes(4).toString('hex'));
    writeFileSync(path, content);
    const sha256 = createHash('sha256').update(content).digest('hex');
    await storeOf(bucket).add(name, { path, bytes: content.length, sha256 });
  };

  it('lie there as they were stored first, whatever is laid over them', async () => {
    const store = storeOf('locked');
    await add('locked', 'shop/one/a', 'first');
    await expect(add('locked', 'shop/one/a', 'second')).rejects.toThrow('already');
    const object = { Bucket: 'locked', Key: 'backups/shop/one/a' };
    await client.send(new PutObjectCommand({ ...object, Body: 'over it' }));
    await client.send(new DeleteObjectCommand(object));
    expect(await text(await store.read('shop/one/a'))).toBe('first');
    expect([await store.list('shop/one'), await store.list('shop'), await store.list('none')]).toEqual([
      ['a'],
      ['one'],
      [],
    ]);
    await expect(store.read('shop/one/b')).rejects.toThrow('not in the store');
  });

  it.each([
    ['locked', []],
    ['governed', ['shortening its retention', 'deleting it, past its GOVERNANCE retention']],
    ['open', ['writing over it', 'deleting it']],
  ])('are tried to be destroyed: in a bucket that is %s', async (bucket, worked) => {
    await add(bucket, 'shop/trial/a', 'first');
    expect(await storeOf(bucket).tryToDestroy('shop/trial/a')).toEqual(worked);
  });

  it('go on where a killed one was, part by part', async () => {
    // The largest file has two parts; one arrives, and nothing more does.
    wire.cutAt('partNumber=2', 'after, for good');
    const creating = spawn(process.execPath, [BIN, 'backup', 'create', '--config', site.config], { stdio: 'ignore' });
    const ended = new Promise((resolve) => creating.once('close', resolve));
    await expect.poll(largePartsThere, { timeout: 60_000, interval: 50 }).toBe(1);
    creating.kill('SIGKILL');
    await ended;
    wire.mend();
    const [left = ''] = readdirSync(join(site.directory, 'under-way'));
    expect(readdirSync(join(site.directory, 'under-way', left, 'dump'))).toEqual([]);
    const alreadySaid = wire.said();
    const made = await site.ask<{ backup: string; bytes: number; resumed: string[] }>('backup', 'create');
    // The other backup whole, of this one what was missing.
    expect(wire.said() - alreadySaid).toBeLessThan(made.bytes * 1.75);
    first = made.resumed[0] ?? '';
    expect(made.resumed).toHaveLength(1);
    expect(readdirSync(join(site.directory, 'under-way'))).toEqual([]);
    const { backups } = await site.ask<{ backups: { backup: string; destroyable: string[] }[] }>('backup', 'list');
    expect(backups.map(({ backup, destroyable }) => [backup, destroyable])).toEqual([
      [made.backup, []],
      [first, []],
    ]);
  }, 120_000);

  it('bring back what they were made of', async () => {
    const ran = await site.run('drill', 'run', '--backup', first, '--json');
    expect([ran.code, ran.json()]).toEqual([0, expect.objectContaining({ passed: true, problems: [] })]);
  });

  /** Smaller files are one part, and soon over. */
  async function largePartsThere(): Promise<number> {
    const { Uploads: uploads = [] } = await client.send(new ListMultipartUploadsCommand({ Bucket: 'locked' }));
    const counts = await Promise.all(
      uploads.map(async ({ Key, UploadId }) => {
        const { Parts: parts } = await client.send(new ListPartsCommand({ Bucket: 'locked', Key, UploadId }));
        return parts?.filter(({ Size: bytes = 0 }) => bytes >= 8 * 1024 * 1024).length ?? 0;
      }),
    );
    return counts.reduce((sum, count) => sum + count, 0);
  }
});

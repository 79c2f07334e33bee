import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { resticStore } from '../../src/backups/restic-store.ts';
import { tryStore } from '../../src/backups/try-store.ts';

const missing = ['restic', 'rclone'].filter((program) => spawnSync(program, ['version']).status !== 0);
if (missing.length > 0) console.warn(`skipped: backups with restic (Debian: ${missing.join(' ')})`);

describe.skipIf(missing.length > 0)('G10 a repository of restic’s', () => {
  let directory: string;
  const servers: ChildProcess[] = [];
  let urls: { readonly appends: string; readonly deletes: string };
  const storeAt = (url: string, loginPassword = 'login') =>
    resticStore({ url, password: 'repository', login: { user: 'gateway', password: loginPassword } });

  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), 'countersign-restic-'));
    const repository = join(directory, 'repository');
    const [appends, deletes] = await Promise.all([serve(repository, '--append-only'), serve(repository)]);
    urls = { appends, deletes };
    const url = appends.replace('//', '//gateway:login@');
    const env = { ...process.env, RESTIC_PASSWORD: 'repository', RESTIC_REPOSITORY: `rest:${url}` };
    const made = spawnSync('restic', ['init', '--no-cache'], { env, encoding: 'utf8' });
    expect(made.stderr).toBe('');
  }, 60_000);
  afterAll(() => {
    for (const server of servers) server.kill();
    rmSync(directory, { recursive: true, force: true });
  });

  /** Chooses its own port, and says which. */
  function serve(repository: string, ...more: readonly string[]): Promise<string> {
    const server = spawn(
      'rclone',
      ['serve', 'restic', '--addr', '127.0.0.1:0', '--user', 'gateway', '--pass', 'login', ...more, repository],
      { stdio: ['ignore', 'ignore', 'pipe'], env: { ...process.env, RCLONE_CONFIG: join(directory, 'none') } },
    );
    servers.push(server);
    return new Promise((resolve, reject) => {
      let said = '';
      server.once('error', reject);
      server.stderr.setEncoding('utf8').on('data', (text: string) => {
        said += text;
        const [url] = /http:\/\/127\.0\.0\.1:\d+\//.exec(said) ?? [];
        if (url !== undefined) resolve(url);
      });
    });
  }

  const add = (name: string, content: Buffer) => {
    const path = join(directory, randomBytes(4).toString('hex'));
    writeFileSync(path, content);
    return storeAt(urls.appends).add(name, { path, bytes: content.length, sha256: '' });
  };

  it('gives back what was stored, and takes a name once', async () => {
    const [store, content] = [storeAt(urls.appends), randomBytes(300_000)];
    await add('shop/one/a', content);
    await expect(add('shop/one/a', Buffer.from('other'))).rejects.toThrow('already');
    expect((await buffer(await store.read('shop/one/a'))).equals(content)).toBe(true);
    expect([await store.list('shop'), await store.list('shop/one'), await store.list('none')]).toEqual([
      ['one'],
      ['a'],
      [],
    ]);
    await expect(store.read('shop/one/b')).rejects.toThrow('not in the store');
  });

  it('is tried: what a server that only appends refuses, and another does', async () => {
    expect(await tryStore(storeAt(urls.appends), 'shop')).toEqual([]);
    expect(await tryStore(storeAt(urls.deletes), 'shop')).toContain('deleting it');
  });

  it('says why it can’t be had', async () => {
    await expect(storeAt(urls.appends, 'wrong').list('shop')).rejects.toThrow('401');
    await expect(storeAt('http://127.0.0.1:1/').list('shop')).rejects.toThrow('does not answer');
  });
});

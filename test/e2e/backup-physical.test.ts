import { spawnSync } from 'node:child_process';
import { chownSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fetchBackup, readManifest } from '../../src/backups/fetch-backup.ts';
import { openStore } from '../../src/backups/open-store.ts';
import { unpackCopy, verifyCopy } from '../../src/backups/physical/unpack.ts';
import type { Digest } from '../../src/domain/ids.ts';
import { serverAccount } from '../../src/engines/postgres/embedded-server.ts';
import { type Site, startSite } from '../fixtures/gateway.ts';
import { asSuperuser, servers } from '../fixtures/postgres.ts';
import { countersign } from '../fixtures/run-command.ts';

interface Drilled {
  readonly passed: boolean;
  readonly problems: readonly string[];
  readonly rows: number;
  readonly restoreMs: number;
}

const BIN = new URL('../../bin/countersign.js', import.meta.url).pathname;

/** The server from npm brings no pg_basebackup. */
const host = servers.filter(({ binaries }) => binaries.from === 'host').slice(0, 1);
if (host.length === 0) console.warn('skipped: physical backups (no PostgreSQL of the host, with pg_basebackup)');
if (host.length === 0) it.skip('needs a PostgreSQL server of the host', () => undefined);

describe.each(host)('G10 copies of a server’s files, of $name', ({ binaries }) => {
  let site: Site;
  let kept: string;
  let spaces: string;
  let first: string;
  let digest: Digest;

  beforeAll(async () => {
    spaces = mkdtempSync(join(tmpdir(), 'countersign-space-'));
    const account = serverAccount();
    if (account !== undefined) chownSync(spaces, account.uid, account.gid);
    site = await startSite(binaries);
    await asSuperuser(site.databaseUrl, `CREATE TABLESPACE elsewhere LOCATION '${spaces}'`);
    await asSuperuser(
      site.databaseUrl,
      `CREATE TABLE public.busy (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, n int) TABLESPACE elsewhere;
       CREATE UNLOGGED TABLE public.scratch AS SELECT 1 AS a;
       CREATE ROLE countersign_backup LOGIN PASSWORD 'backup-secret' IN ROLE pg_read_all_data;
       GRANT CONNECT ON DATABASE rental TO countersign_backup`,
    );
    kept = join(site.directory, 'kept');
    writeFileSync(join(site.directory, 'keys/backup-login'), 'backup-secret', { mode: 0o600 });
    const made = await countersign(['backup', 'key', join(site.directory, 'keys/backup.age'), '--json']);
    const { recipient } = made.json<{ recipient: string }>();
    site.edit((text) =>
      text.replace(
        /^( {4}credentials:\n)/m,
        `    backup:\n      method: physical\n      workDirectory: ${join(site.directory, 'work')}\n      store: { directory: ${kept} }\n      recipients: [${recipient}]\n      identity: '\${file:keys/backup.age}'\n      probes: { customers: SELECT count(*) > 10 FROM public.customers }\n$1      backup: { user: countersign_backup, password: '\${file:keys/backup-login}' }\n`,
      ),
    );
  }, 60_000);
  afterAll(async () => {
    await site?.remove();
    rmSync(spaces, { recursive: true, force: true });
  });

  const drill = async (backup: string) => {
    const ran = await site.run('drill', 'run', '--backup', backup, '--json');
    return { code: ran.code, ...ran.json<Drilled>() };
  };

  it('say all that they lack, and how it is mended', async () => {
    const ran = await site.run('backup', 'create', '--json');
    const { refused } = ran.json<{ refused: { message: string; hint: string } }>();
    expect(ran.code).toBe(1);
    expect(refused.message).toContain('countersign_backup may not replicate');
    const { findings } = (await site.run('doctor', '--json')).json<{
      findings: { id: string; verdict: string; fix: string }[];
    }>();
    const told = findings.filter(({ id }) => id === 'backups.physical');
    expect(told.map(({ verdict }) => verdict)).toEqual(['fail', 'fail']);
    for (const { fix } of told) {
      expect(refused.hint).toContain(fix);
      await asSuperuser(site.databaseUrl, fix);
    }
  });

  it('say so where pg_hba.conf lets no replication in', async () => {
    const file = join(site.server.dataDirectory, 'pg_hba.conf');
    const rules = readFileSync(file, 'utf8');
    const reload = () => asSuperuser(site.databaseUrl, 'SELECT pg_reload_conf(), pg_sleep(0.1)');
    writeFileSync(file, rules.replace(/^(host\s+replication.*)$/gm, '#$1'));
    await reload();
    const ran = await site.run('backup', 'create');
    writeFileSync(file, rules);
    await reload();
    expect([ran.code, ran.stderr]).toEqual([
      1,
      expect.stringMatching(
        /no pg_hba.conf entry for replication[\s\S]*host replication "countersign_backup" 127.0.0.1/,
      ),
    ]);
  });

  it('are brought to the very moment that they were hashed at, whatever is written meanwhile', async () => {
    let writing = true;
    const writers = [1, 2, 3].map(async () => {
      const client = new pg.Client({ connectionString: site.databaseUrl });
      await client.connect();
      for (let n = 0; writing; n++) {
        await client.query('INSERT INTO public.busy (n) VALUES ($1)', [n]);
        await client.query('UPDATE public.busy SET n = n + 1 WHERE id = (SELECT max(id) FROM public.busy)');
      }
      await client.end();
    });
    const made = await site.run('backup', 'create', '--json');
    writing = false;
    await Promise.all(writers);
    expect(made.code, made.stderr).toBe(0);
    const answered = made.json<{ backup: string; method: string; manifest: Digest }>();
    expect(answered.method).toBe('physical');
    first = answered.backup;
    digest = answered.manifest;
    await asSuperuser(site.databaseUrl, 'TRUNCATE public.busy; DELETE FROM public.customers');
    const said = await drill(first);
    expect(said).toMatchObject({ code: 0, passed: true, problems: [] });
    expect(said.rows).toBeGreaterThan(3000);
    const listed = (await site.run('backup', 'list')).stdout;
    expect(listed).toMatch(/physical .*drill passed/);
    expect((await site.run('backup', 'show', first)).stdout).toContain('the files of its server (pg_basebackup)');
    const slots = await asSuperuser(site.databaseUrl, 'SELECT slot_name FROM pg_replication_slots');
    expect(slots).toEqual([]);
  });

  it('come with the commands that bring a table back beside the live one, and these do', async () => {
    const { steps } = await site.ask<{ steps: { commands: string[] }[] }>(
      'incident',
      'playbook',
      '--target',
      'rental-production',
      '--table',
      'public.busy',
    );
    const commands = steps
      .flatMap((step) => step.commands)
      .filter((command) => /pg_ctl|pg_isready|pg_dump|psql|backup fetch/.test(command));
    const upTo = commands.findIndex((command) => command.endsWith('-w stop'));
    const [fetch = '', ...rest] = commands.slice(0, upTo + 1);
    const work = mkdtempSync(join(tmpdir(), 'countersign-playbook-'));
    const url = new URL(site.databaseUrl);
    const run = (script: string, account: object = {}) =>
      spawnSync(
        'bash',
        ['-ec', `countersign() { "${process.execPath}" "${BIN}" "$@" --config "${site.config}"; }\n${script}`],
        {
          cwd: work,
          encoding: 'utf8',
          env: { ...process.env, PGUSER: url.username, PGPASSWORD: url.password },
          ...account,
        },
      );
    try {
      const fetched = run(fetch);
      expect(fetched.status, fetched.stderr).toBe(0);
      const account = serverAccount();
      if (account !== undefined) spawnSync('chown', ['-R', `${account.uid}:${account.gid}`, work]);
      const ran = run(rest.join('\n'), account);
      expect(ran.status, `${ran.stderr}${ran.stdout}`).toBe(0);
    } finally {
      rmSync(work, { recursive: true, force: true });
    }
    const [back] = await asSuperuser<{ n: number }>(site.databaseUrl, 'SELECT count(*)::int AS n FROM public.busy');
    expect(back?.n).toBeGreaterThan(0);
  });

  it('are found broken by a drill: a file that is missing', async () => {
    const file = join(kept, 'rental-production', first, 'pg_wal.tar.gz.age');
    const sound = readFileSync(file);
    rmSync(file);
    const said = await drill(first);
    writeFileSync(file, sound);
    expect(said).toMatchObject({ code: 1, passed: false });
    expect(said.problems.join()).toContain('pg_wal.tar.gz.age is not in the store');
  });

  it('are found broken before anything is restored: cut off, a flipped bit, files that are otherwise than the server had them', async () => {
    const store = openStore({ directory: kept });
    const manifest = await readManifest(store, { target: 'rental-production', id: first, digest });
    const [archives, data] = [join(site.directory, 'archives'), join(site.directory, 'data')];
    const identity = readFileSync(join(site.directory, 'keys/backup.age'), 'utf8').trim();
    const fetch = () => {
      rmSync(archives, { recursive: true, force: true });
      mkdirSync(archives);
      return fetchBackup(store, manifest, { directory: archives, identity, onProgress: () => undefined });
    };
    const base = join(kept, 'rental-production', first, 'base.tar.gz.age');
    const sound = readFileSync(base);
    writeFileSync(base, sound.subarray(0, -1000));
    await expect(fetch()).rejects.toThrow(/has \d+ bytes, it had/);
    const flipped = Buffer.from(sound);
    flipped[flipped.length >> 1] = (flipped[flipped.length >> 1] ?? 0) ^ 1;
    writeFileSync(base, flipped);
    await expect(fetch()).rejects.toThrow('has been changed');
    writeFileSync(base, sound);
    await fetch();
    await unpackCopy(archives, data);
    const verify = () => verifyCopy(archives, data, `${binaries.directory}/pg_verifybackup`);
    await verify();
    const oid = readdirSync(join(data, 'base')).at(-1) ?? '';
    const table = join(data, 'base', oid, '1259');
    const bytes = readFileSync(table);
    const other = Buffer.from(bytes);
    other[5000] = (other[5000] ?? 0) ^ 1;
    writeFileSync(table, other);
    await expect(verify()).rejects.toThrow('checksum mismatch');
    writeFileSync(table, bytes.subarray(0, -8192));
    await expect(verify()).rejects.toThrow(/has size \d+ on disk but size \d+ in the manifest/);
    rmSync(table);
    await expect(verify()).rejects.toThrow('present in the manifest but not on disk');
    writeFileSync(table, bytes);
    const [segment = ''] = readdirSync(join(data, 'pg_wal')).filter((name) => /^[0-9A-F]{24}$/.test(name));
    rmSync(join(data, 'pg_wal', segment));
    await expect(verify()).rejects.toThrow(/WAL/);
  });

  it('are none where a file came over the network otherwise than the server sent it', async () => {
    const programs = mkdtempSync(join(site.directory, 'programs-'));
    const script = `#!/bin/bash
      set -e; ${binaries.directory}/pg_basebackup "$@"
      [ "$1" = --version ] && exit 0
      mkdir "$2.x"; cd "$2.x"; tar -xzf "$2/base.tar.gz"; f=$(ls -S base/*/* | head -1)
      printf X | dd of=$f bs=1 seek=5000 conv=notrunc 2> /dev/null
      tar -czf "$2/base.tar.gz" *; cd /; rm -r "$2.x"`;
    writeFileSync(join(programs, 'pg_basebackup'), script, { mode: 0o755 });
    const env = { ...process.env, PATH: `${programs}:${process.env['PATH']}` };
    const ran = await countersign(['backup', 'create', '--config', site.config], { cwd: site.directory, env });
    expect([ran.code, ran.stderr]).toEqual([3, expect.stringContaining('checksum mismatch')]);
  });

  it('leave nothing in the clear behind', () => {
    const work = join(site.directory, 'work');
    expect(
      readdirSync(work).filter((name) => name.startsWith('backup-rental-production') || name.startsWith('drill-')),
    ).toEqual([]);
  });
});

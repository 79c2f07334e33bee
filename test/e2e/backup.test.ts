import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Site, startSite, WORK } from '../fixtures/gateway.ts';
import { asSuperuser, servers } from '../fixtures/postgres.ts';
import { countersign } from '../fixtures/run-command.ts';
import { smallDisk } from '../fixtures/small-disk.ts';

interface Drilled {
  readonly passed: boolean;
  readonly problems: readonly string[];
  readonly rows: number;
}

const BIN = new URL('../../bin/countersign.js', import.meta.url).pathname;

/** pg_dump is the host's, and no older than the server: so the server is the host's as well. */
const host = servers.filter(({ binaries }) => binaries.from === 'host').slice(0, 1);
if (host.length === 0)
  console.warn('skipped: backups (no PostgreSQL server of the host, whose pg_dump would be new enough)');

if (host.length === 0) it.skip('needs a PostgreSQL server of the host', () => undefined);

describe.each(host)('G10 backups out of reach, of $name', ({ binaries }) => {
  let site: Site;
  let keeper: ChildProcess;
  let kept: string;
  let first: string;
  const told: { type: string; data: { owner: string } }[] = [];
  const receiver = createServer(async (request, response) => {
    told.push(JSON.parse(await text(request)));
    response.end();
  });

  beforeAll(async () => {
    site = await startSite(binaries, {
      schema: `
        CREATE TABLE public.odd (id int GENERATED ALWAYS AS IDENTITY, j json, js jsonb, n numeric, f float8, at timestamptz, b bytea, gone int, texts text[]);
        ALTER TABLE public.odd DROP COLUMN gone;
        INSERT INTO public.odd (j, js, n, f, at, b, texts) SELECT '{"a" : 1}', '{"a": 1}', 'NaN', 0.1 + i, 'infinity', '\\xff00', ARRAY['x', NULL] FROM generate_series(1, 500) AS i;
        CREATE TABLE public.notes (id int, note text); ALTER TABLE public.notes OWNER TO rental_owner;
        CREATE SCHEMA "Mixed Case"; CREATE TABLE "Mixed Case"."a.b" (id int); INSERT INTO "Mixed Case"."a.b" VALUES (1);
        SELECT lo_create(4711); SELECT lo_put(4711, 0, 'large');
        CREATE ROLE countersign_backup LOGIN PASSWORD 'backup-secret' IN ROLE pg_read_all_data`,
    });
    await asSuperuser(
      site.databaseUrl,
      `GRANT CONNECT ON DATABASE rental TO countersign_backup; GRANT SELECT ON LARGE OBJECT 4711 TO countersign_backup;
       -- What lies in quarantine is backed up and drilled as everything is.
       CREATE SCHEMA countersign_quarantine_7_0 AUTHORIZATION countersign_apply; CREATE TABLE countersign_quarantine_7_0.gone AS SELECT 1 AS a`,
    );
    kept = join(site.directory, 'kept');
    const file = (name: string, text: string) => {
      writeFileSync(join(site.directory, name), text, { mode: 0o600 });
      return join(site.directory, name);
    };
    file('keys/backup-login', 'backup-secret');
    const token = file('keys/keeper-token', 'only for the test');
    const made = await countersign(['backup', 'key', join(site.directory, 'keys/backup.age'), '--json']);
    const { recipient } = made.json<{ recipient: string }>();
    const url = await keep(token);
    await new Promise<void>((resolve) => receiver.listen(0, '127.0.0.1', resolve));
    const hook = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/`;
    file('keys/webhook', `whsec_${Buffer.alloc(32).toString('base64')}`);
    site.edit((text) =>
      `${text}\nnotifications:\n  webhooks: [{ url: '${hook}', secret: '\${file:keys/webhook}' }]\n`
        .replace(
          /^( {4}credentials:\n)/m,
          "$1      backup: { user: countersign_backup, password: '${file:keys/backup-login}' }\n",
        )
        .replace(
          /^( {4}credentials:\n)/m,
          `    backup:\n      store: { keeper: '${url}', token: '\${file:keys/keeper-token}' }\n      recipients: [${recipient}]\n      identity: '\${file:keys/backup.age}'\n      probes: { customers: SELECT count(*) > 10 FROM public.customers }\n$1`,
        ),
    );
    first = (await site.ask<{ backup: string }>('backup', 'create')).backup;
  }, 120_000);
  afterAll(async () => {
    keeper?.kill();
    receiver.close();
    await site?.remove();
  });

  function keep(token: string): Promise<string> {
    keeper = spawn(
      process.execPath,
      [BIN, 'backup', 'keep', '--directory', kept, '--token-file', token, '--listen', '127.0.0.1:0', '--json'],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    return new Promise((resolve) => {
      keeper.stdout?.once('data', (line: Buffer) => resolve(JSON.parse(line.toString()).url));
    });
  }

  /** Asks for what has no way back. */
  async function dropped(): Promise<{ plan: string; missing: string }> {
    const gateway = await site.serve();
    const url = new URL((await site.openTask(WORK)).postgres);
    url.host = gateway.pg;
    const client = new pg.Client({ connectionString: url.href, connectionTimeoutMillis: 20_000 });
    await client.connect();
    const held = await client
      .query('ALTER TABLE public.notes DROP COLUMN note')
      .catch((error: pg.DatabaseError) => error);
    await client.end();
    await gateway.stop();
    const detail = held instanceof pg.DatabaseError ? (held.detail ?? '') : '';
    return {
      plan: /sha256:[0-9a-f]{64}/.exec(detail)?.[0] ?? '',
      missing: `${held instanceof Error ? held.message : ''}\n${detail}`,
    };
  }

  const drill = async (backup: string) => {
    const ran = await site.run('drill', 'run', '--backup', backup, '--json');
    return { code: ran.code, ...ran.json<Drilled>() };
  };

  it('are made of one snapshot, encrypted, and can be neither changed nor deleted by who makes them', async () => {
    const shown = await site.ask<{ destroyable: string[]; rows: number; drill: unknown }>('backup', 'show', first);
    const [truth] = await asSuperuser<{ n: number }>(
      site.databaseUrl,
      `SELECT sum((xpath('/row/n/text()', query_to_xml(format('SELECT count(*) AS n FROM ONLY %s', c.oid::regclass), true, true, '')))[1]::text::int)::int AS n
       FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = relnamespace WHERE relkind = 'r' AND nspname !~ '^pg_' AND nspname <> 'information_schema'`,
    );
    expect(shown).toMatchObject({ destroyable: [], rows: truth?.n, drill: null });
    const directory = join(kept, 'rental-production', first);
    for (const name of readdirSync(directory).filter((one) => one !== 'manifest.json'))
      expect(readFileSync(join(directory, name)).subarray(0, 21).toString()).toBe('age-encryption.org/v1');
  });

  it('are waited for, freshly drilled, by what can’t be taken back', async () => {
    const held = await dropped();
    expect(held.missing).toContain('a fresh drill of a backup');
    const [plan] = (await site.ask<{ plans: { id: string }[] }>('plan', 'list')).plans;
    await site.ask('plan', 'approve', plan?.id ?? '', '--as', 'ada');
    const applied = await site.run('plan', 'apply', plan?.id ?? '', '--as', 'ada', '--json');
    expect([applied.code, applied.stdout]).toEqual([1, expect.stringContaining('drill')]);
  });

  it('count after a drill, which restores them and compares every row and definition', async () => {
    const said = await drill(first);
    expect(said).toMatchObject({ code: 0, passed: true, problems: [] });
    expect(said.rows).toBeGreaterThan(3000);
    expect((await site.run('backup', 'list')).stdout).toContain('drill passed');
  });

  it('stand on plans, once they are proven', async () => {
    const held = await dropped();
    expect(held.missing).not.toContain('a fresh drill');
    expect((await site.run('plan', 'show', held.plan)).stdout).toContain(`backup    ${first}`);
  });

  it('bring what was backed up to where pg_restore reads it', async () => {
    const to = join(site.directory, 'fetched');
    expect(await site.ask('backup', 'fetch', first, '--to', to)).toMatchObject({ serverMajor: binaries.major });
    expect(readdirSync(to)).toContain('toc.dat');
  });

  it('come with the commands that bring a table back, and these do', async () => {
    const { steps } = await site.ask<{ steps: { commands: string[] }[] }>(
      'incident',
      'playbook',
      '--target',
      'rental-production',
      '--table',
      'public.customers',
    );
    const commands = steps
      .flatMap((step) => step.commands)
      .filter((command) => /^(createdb|pg_restore|countersign backup)/.test(command));
    expect(commands).toHaveLength(3);
    const url = new URL(site.databaseUrl);
    const ran = spawnSync(
      'bash',
      [
        '-ec',
        `countersign() { "${process.execPath}" "${BIN}" "$@" --config "${site.config}"; }\n${commands.join('\n')}`,
      ],
      {
        cwd: site.directory,
        encoding: 'utf8',
        env: { ...process.env, PGUSER: url.username, PGPASSWORD: url.password },
      },
    );
    expect(ran.status, ran.stderr).toBe(0);
    const count = 'SELECT count(*)::int AS n, sum(loyalty_points)::int AS points FROM public.customers';
    url.pathname = '/recovered';
    expect(await asSuperuser(url.href, count)).toEqual(await asSuperuser(site.databaseUrl, count));
  });

  it('are refused of a database that is not the pinned target', async () => {
    const other = join(site.directory, 'other.yaml');
    await asSuperuser(site.databaseUrl, 'CREATE DATABASE elsewhere');
    writeFileSync(other, readFileSync(site.config, 'utf8').replace(/database: rental$/m, 'database: elsewhere'));
    const ran = await countersign(['backup', 'create', '--config', other, '--json'], { cwd: site.directory });
    expect(ran.code).toBe(1);
    expect(ran.stdout).toContain('not the pinned target');
  });

  const broken: readonly (readonly [string, RegExp, (directory: string) => void | Promise<void>])[] = [
    [
      'one that is empty',
      /not in the store/,
      (directory) => {
        for (const name of readdirSync(directory)) rmSync(join(directory, name));
      },
    ],
    [
      'a file that is cut off',
      /has \d+ bytes, it had/,
      (directory) => truncateSync(largest(directory), statSync(largest(directory)).size - 1000),
    ],
    ['a flipped bit', /has been changed/, (directory) => flip(largest(directory))],
    [
      'the files of another backup',
      /the ledger knows|has been changed|bytes, it had/,
      async (directory) => {
        const { backup } = await site.ask<{ backup: string }>('backup', 'create');
        cpSync(join(kept, 'rental-production', backup), directory, { recursive: true });
      },
    ],
  ];
  it.each(broken)('are found broken by a drill: %s', async (_what, problem, breaking) => {
    const [directory, sound] = [join(kept, 'rental-production', first), join(site.directory, 'sound')];
    cpSync(directory, sound, { recursive: true });
    await breaking(directory);
    const said = await drill(first);
    rmSync(directory, { recursive: true });
    cpSync(sound, directory, { recursive: true });
    expect(said).toMatchObject({ code: 1, passed: false });
    expect(said.problems.join('\n')).toMatch(problem);
    expect(told.at(-1)).toMatchObject({ type: 'drill.failed', data: { owner: 'ada' } });
  });

  it('are found broken by a drill: one of the wrong database', async () => {
    const other = join(site.directory, 'wrong.yaml');
    const pinned = readFileSync(site.config, 'utf8');
    writeFileSync(other, pinned.replace(/identity: sha256:[0-9a-f]{64}/, `identity: sha256:${'0'.repeat(64)}`));
    const ran = await countersign(['drill', 'run', '--backup', first, '--config', other, '--json'], {
      cwd: site.directory,
    });
    expect([ran.code, ran.json<Drilled>().problems]).toEqual([1, ['it is of another database than the pinned target']]);
    expect(told.at(-1)).toMatchObject({ type: 'drill.failed', data: { owner: 'ada' } });
  });

  it('are found broken by a drill: one whose dump has left a table out', async () => {
    const programs = join(site.directory, 'programs');
    mkdirSync(programs);
    writeFileSync(
      join(programs, 'pg_dump'),
      `#!/bin/sh\nexec ${binaries.directory}/pg_dump "$@" --exclude-table=public.notes\n`,
      { mode: 0o755 },
    );
    const made = await countersign(['backup', 'create', '--config', site.config, '--json'], {
      cwd: site.directory,
      env: { ...process.env, PATH: `${programs}:${process.env['PATH']}` },
    });
    const said = await drill(made.json<{ backup: string }>().backup);
    expect(said).toMatchObject({ code: 1, passed: false });
    expect(said.problems.join('\n')).toContain('table public.notes is missing (it had 0 rows)');
    expect(told.at(-1)).toMatchObject({ type: 'drill.failed', data: { owner: 'ada' } });
  });

  it('are not begun on a disk that they might fill', async ({ skip }) => {
    const disk = smallDisk(4_000_000);
    if (disk === undefined) return skip();
    try {
      const config = join(site.directory, 'no-room.yaml');
      const said = readFileSync(site.config, 'utf8');
      writeFileSync(
        config,
        said.replace(/^( +)recipients:/m, `$1workDirectory: ${disk.directory}/work\n$1recipients:`),
      );
      for (const what of [
        ['backup', 'create'],
        ['drill', 'run'],
      ]) {
        const ran = await countersign([...what, '--config', config, '--json'], { cwd: site.directory });
        expect([ran.code, ran.json()]).toMatchObject([
          3,
          {
            refused: { message: expect.stringContaining('4 MB left'), hint: expect.stringContaining('workDirectory') },
          },
        ]);
      }
      expect(readdirSync(join(disk.directory, 'work'))).toEqual([]);
    } finally {
      disk.remove();
    }
  });

  it('say so where the store lets its files be destroyed', async () => {
    const open = join(site.directory, 'open.yaml');
    writeFileSync(
      open,
      readFileSync(site.config, 'utf8').replace(
        /store: \{.*\}/,
        `store: { directory: ${join(site.directory, 'open')} }`,
      ),
    );
    const ran = await countersign(['backup', 'create', '--config', open], { cwd: site.directory });
    expect(ran.stdout).toContain('NOT immutable');
    const verdictWith = async (config: string) =>
      (await countersign(['doctor', '--config', config, '--json'], { cwd: site.directory }))
        .json<{ findings: { id: string; verdict: string }[] }>()
        .findings.find(({ id }) => id === 'backups.immutable')?.verdict;
    expect([await verdictWith(open), await verdictWith(site.config)]).toEqual(['fail', 'ok']);
  });

  it('are in the ledger, drills too', async () => {
    expect((await site.run('ledger', 'verify')).code).toBe(0);
    const { entries } = await site.ask<{ entries: { kind: string; body: { outcome: string } }[] }>(
      'ledger',
      'show',
      '--kind',
      'drill',
    );
    expect(entries.map(({ body }) => body.outcome)).toEqual(expect.arrayContaining(['passed', 'failed']));
  });
});

function largest(directory: string): string {
  const [name = ''] = readdirSync(directory)
    .filter((one) => one !== 'manifest.json')
    .sort((a, b) => statSync(join(directory, b)).size - statSync(join(directory, a)).size);
  return join(directory, name);
}

function flip(file: string): void {
  const bytes = readFileSync(file);
  const at = bytes.length >> 1;
  bytes[at] = (bytes[at] ?? 0) ^ 1;
  writeFileSync(file, bytes);
}

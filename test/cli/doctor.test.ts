import {
  appendFileSync,
  chmodSync,
  chownSync,
  cpSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { Finding } from '../../src/doctor/finding.ts';
import { startEmbeddedServer } from '../../src/engines/postgres/embedded-server.ts';
import { type Site, startSite } from '../fixtures/gateway.ts';
import { asSuperuser, servers } from '../fixtures/postgres.ts';
import { countersign, type Ran } from '../fixtures/run-command.ts';

const [newest] = servers;
const READ_HBA = [
  'GRANT SELECT ON pg_catalog.pg_hba_file_rules TO countersign_session',
  'GRANT EXECUTE ON FUNCTION pg_catalog.pg_hba_file_rules() TO countersign_session',
];

/** Statements one by one: some can't run in a transaction. */
async function run(url: string, statements: readonly string[]): Promise<void> {
  for (const sql of statements) await asSuperuser(url, sql);
}

/** The SQL of a fix, as somebody would paste it. */
function statementsOf(fix: string | null): string[] {
  return (fix ?? '')
    .split('\n')
    .map((line) => line.replace(/--.*/, ''))
    .flatMap((line) => line.split(';'))
    .map((sql) => sql.trim())
    .filter((sql) => sql !== '');
}

/** A healthy machine, whatever the one is like that runs the tests. */
function quiet(home: string): NodeJS.ProcessEnv {
  return { HOME: home, PGPASSWORD: '', DATABASE_URL: '', AWS_SECRET_ACCESS_KEY: '' };
}

async function findings(site: Site, env: NodeJS.ProcessEnv = {}): Promise<{ exit: number; all: Finding[]; ran: Ran }> {
  const ran = await countersign(['doctor', '--config', site.config, '--json'], {
    cwd: site.directory,
    env: { ...quiet(site.directory), ...env },
  });
  return { exit: ran.code, all: ran.json<{ findings: Finding[] }>().findings, ran };
}

const wrong = (all: readonly Finding[]) => all.filter(({ verdict }) => verdict === 'fail').map(({ id }) => id);

describe.each(servers)('countersign doctor on $name', ({ binaries, name }) => {
  let site: Site;
  beforeAll(async () => {
    site = await startSite(binaries, { durable: true });
    await run(site.databaseUrl, READ_HBA);
  }, 60_000);
  afterAll(() => site?.remove());

  it('finds nothing to mend after init', async () => {
    const { exit, all } = await findings(site);
    expect(wrong(all)).toEqual([]);
    expect(exit).toBe(0);
    const asSuperuserWould = all.find(({ id, verdict }) => id === 'roles.session.createRole' && verdict === 'warn');
    expect(asSuperuserWould !== undefined).toBe(name.includes('PostgreSQL 15'));
  });

  it('finds the pinned target gone, and says that nothing of it is known', async () => {
    site.edit((config) => config.replace(/port: (\d+)/, 'port: 1 # $1'));
    const { exit, all } = await findings(site);
    expect(exit).toBe(3);
    expect(all.find(({ id }) => id === 'target.reachable')?.verdict).toBe('unknown');
    site.edit((config) => config.replace(/port: 1 # (\d+)/, 'port: $1'));
  });
});

describe.runIf(newest !== undefined)('what countersign doctor finds in a target, and its own fix mends', () => {
  let site: Site;
  beforeAll(async () => {
    if (newest === undefined) return;
    site = await startSite(newest.binaries, { durable: true });
    await run(site.databaseUrl, READ_HBA);
  }, 60_000);
  afterAll(() => site?.remove());

  const MISTAKES: readonly (readonly [string, readonly string[]])[] = [
    ['roles.session.superuser', ['ALTER ROLE countersign_session SUPERUSER']],
    ['roles.apply.bypassRls', ['ALTER ROLE countersign_apply BYPASSRLS']],
    ['roles.apply.createRole', ['ALTER ROLE countersign_apply CREATEROLE']],
    [
      'roles.session.membership',
      ['CREATE ROLE middle', 'GRANT pg_execute_server_program TO middle', 'GRANT middle TO countersign_session'],
    ],
    ['grants.schema', ['REVOKE USAGE ON SCHEMA public FROM countersign_session CASCADE']],
    ['grants.table', ['CREATE TABLE public."Made since" (id int)']],
    ['reach.public', ['GRANT CONNECT ON DATABASE rental TO PUBLIC']],
    ['reach.superusers', ['CREATE ROLE zed SUPERUSER LOGIN']],
    [
      'reach.writers',
      [
        'CREATE ROLE "old-app" LOGIN PASSWORD \'x\'',
        'GRANT UPDATE ON public.customers TO "old-app"',
        'GRANT CONNECT ON DATABASE rental TO "old-app"',
      ],
    ],
    ['server.track_counts', ['ALTER SYSTEM SET track_counts = off', 'SELECT pg_reload_conf()']],
    ['server.synchronous_commit', ['ALTER SYSTEM SET synchronous_commit = off', 'SELECT pg_reload_conf()']],
    [
      'server.strangers',
      ['GRANT USAGE ON SCHEMA countersign TO rental_app', 'GRANT INSERT ON countersign.applied TO rental_app'],
    ],
    [
      'server.slot',
      [
        "SELECT pg_create_physical_replication_slot('left behind'::text::name, true)".replace(
          'left behind',
          'left_behind',
        ),
      ],
    ],
  ];

  it.each(MISTAKES)(
    '%s',
    async (id, mistake) => {
      await run(site.databaseUrl, mistake);
      const before = (await findings(site)).all.filter((finding) => finding.id === id && finding.verdict !== 'ok');
      expect(before).toHaveLength(1);
      const [{ found, why, fix } = { found: '', why: '', fix: null }] = before;
      expect(found).not.toBe('');
      expect(why).not.toBe('');
      await run(site.databaseUrl, statementsOf(fix));
      const after = (await findings(site)).all.filter((finding) => finding.id === id && finding.verdict !== 'ok');
      expect(after).toEqual([]);
    },
    30_000,
  );

  it('finds the schema countersign altered, which init mends', async () => {
    await run(site.databaseUrl, [
      'DROP TABLE countersign.captured_rows',
      `CREATE OR REPLACE FUNCTION countersign.capture_change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'`,
    ]);
    expect(wrong((await findings(site)).all)).toEqual(['server.schema', 'server.capture']);
    const init = [
      'init',
      '--database',
      site.databaseUrl,
      '--environment',
      'production',
      '--owner',
      'ada',
      '--yes',
      '--json',
    ];
    expect((await site.run(...init)).code).toBe(0);
    expect(wrong((await findings(site)).all)).toEqual([]);
    await run(site.databaseUrl, ['ALTER FUNCTION countersign.capture_change() SET search_path = pg_catalog']);
    expect(wrong((await findings(site)).all)).toEqual(['server.capture']);
    expect((await site.run(...init)).code).toBe(0);
    expect(wrong((await findings(site)).all)).toEqual([]);
  }, 60_000);

  it('reads pg_hba.conf: who gets in without a password, from everywhere, or by a line that is wrong', async () => {
    const file = join(site.server.dataDirectory, 'pg_hba.conf');
    const before = readFileSync(file, 'utf8');
    appendFileSync(
      file,
      'host all all 10.0.0.0/8 trust\nhost rental all all scram-sha-256\nhost all all 192.168.1.7/32 password\nhostt nonsense\n',
    );
    const { all } = await findings(site);
    writeFileSync(file, before);
    expect(wrong(all).sort()).toEqual([
      'reach.hba.elsewhere',
      'reach.hba.error',
      'reach.hba.method',
      'reach.hba.trust',
    ]);
    expect(all.find(({ id }) => id === 'reach.hba.trust')?.found).toContain('10.0.0.0/8');
  });

  it('says that pg_hba.conf could not be read, instead of taking it for well', async () => {
    await run(
      site.databaseUrl,
      READ_HBA.map((grant) => grant.replace('GRANT', 'REVOKE').replace(' TO ', ' FROM ')),
    );
    const finding = (await findings(site)).all.find(({ id }) => id === 'reach.hba');
    expect(finding?.verdict).toBe('unknown');
    await run(site.databaseUrl, statementsOf(finding?.fix ?? null));
    expect((await findings(site)).all.find(({ id }) => id === 'reach.hba')?.verdict).toBe('ok');
  });

  it('finds another database behind the address than the pinned one', async () => {
    site.edit((config) =>
      config
        .replace(/identity: sha256:(.)/, 'identity: sha256:x$1'.replace('x', '0'))
        .replace(/(identity: sha256:[0-9a-f]{64})[0-9a-f]/, '$1'),
    );
    const { exit, all } = await findings(site);
    expect(exit).toBe(1);
    expect(wrong(all)).toContain('identity.pinned');
  });
});

describe.runIf(newest !== undefined)('what countersign doctor finds on the gateway’s machine', () => {
  let site: Site;
  const undo: (() => void)[] = [];
  beforeAll(async () => {
    if (newest === undefined) return;
    site = await startSite(newest.binaries);
    await site.ask('halt', '--reason', 'so that there is a state');
    await site.ask('resume', '--reason', 'there is one');
  }, 60_000);
  afterEach(() => {
    for (const step of undo.splice(0)) step();
  });
  afterAll(() => site?.remove());

  const put = (name: string, text: string) => {
    const path = join(site.directory, name);
    writeFileSync(path, text);
    undo.push(() => rmSync(path));
  };
  const password = () => new URL(site.databaseUrl).password;

  it('tells it to a tired reader: what is wrong first, each with what to do', async () => {
    put('.env', `DATABASE_URL=${site.databaseUrl}\n`);
    const ran = await countersign(['doctor', '--config', site.config], {
      cwd: site.directory,
      env: quiet(site.directory),
    });
    expect(ran.code).toBe(1);
    const told = ran.stdout
      .replaceAll(site.directory, '/srv/countersign')
      .replace(/good for \d+ days/, 'good for … days');
    await expect(told).toMatchFileSnapshot('golden/doctor.txt');
  });

  it('finds a server that forgets what it was told', async () => {
    expect(wrong((await findings(site)).all)).toEqual(['server.fsync', 'server.full_page_writes']);
  });

  it('finds keys and state that others can read, and rules that others can write', async () => {
    const loosen = (name: string, mode: number, tight: number) => {
      chmodSync(join(site.directory, name), mode);
      undo.push(() => chmodSync(join(site.directory, name), tight));
    };
    loosen('keys/ledger.key', 0o640, 0o600);
    loosen('state/countersign.db', 0o644, 0o600);
    loosen('countersign.yaml', 0o666, 0o644);
    loosen('policies', 0o777, 0o755);
    const found = (await findings(site)).all.filter(({ id }) => id === 'files.mode');
    expect(found.map(({ found: line }) => line.replace(site.directory, ''))).toEqual([
      '/countersign.yaml can be changed by other users (666)',
      '/policies can be changed by other users (777)',
      '/keys/ledger.key can be read by other users (640)',
      '/state/countersign.db can be read by other users (644)',
    ]);
  });

  it.runIf(process.getuid?.() === 0)('finds policies that belong to somebody else', async () => {
    const path = join(site.directory, 'policies/1-reads.cedar');
    chownSync(path, 12_345, 0);
    undo.push(() => chownSync(path, 0, 0));
    expect(wrong((await findings(site)).all)).toContain('files.owner');
  });

  it('finds credentials that lead past the gateway, and says where without saying them', async () => {
    const { hostname, port } = new URL(site.databaseUrl);
    put('.env', `DEBUG=1\nexport DATABASE_URL="${site.databaseUrl.replace('127.0.0.1', 'localhost')}"\n`);
    put('.pgpass', `# mine\n${hostname}:${port}:*:postgres:${password()}\n`);
    put(
      'pg_service.conf',
      `[elsewhere]\nhost=db.example\npassword=x\n[prod]\nhost=${hostname}\nport=${port}\npassword=${password()}\n`,
    );
    const env = { APP_DB: site.databaseUrl, PGPASSWORD: password(), PGHOST: hostname, PGPORT: port };
    const { all, ran } = await findings(site, env);
    const places = all
      .filter(({ id }) => id === 'environment.credential')
      .map(({ found }) => found.split(' holds')[0]?.replace(site.directory, ''));
    expect(places.sort()).toEqual([
      '/.env line 2',
      '/.pgpass line 2',
      '/pg_service.conf section prod',
      'the variable APP_DB',
      'the variable PGPASSWORD',
    ]);
    expect(ran.stdout + ran.stderr).not.toContain(password());
  });

  it('does not take a task’s own connection for a way past the gateway', async () => {
    const task = await site.openTask(
      'purpose: p\nagent: migrator\ntargets: { rental-production: { read: [public.customers] } }\n',
    );
    const { all } = await findings(site, { DATABASE_URL: task.postgres.replace(/:0\//, ':6434/') });
    expect(all.filter(({ id }) => id === 'environment.credential')).toEqual([]);
  });

  it('looks around on an agent’s machine without a configuration', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'countersign-agent-'));
    undo.push(() => rmSync(directory, { recursive: true }));
    const look = (env: NodeJS.ProcessEnv) =>
      countersign(['doctor', '--as-agent-host', '--json'], { cwd: directory, env: { ...quiet(directory), ...env } });
    expect((await look({})).json<{ findings: Finding[] }>().findings.map(({ verdict }) => verdict)).toEqual(['ok']);
    const found = (await look({ REPORTING: 'postgres://bob:pw@db.example/x' })).json<{ findings: Finding[] }>()
      .findings;
    expect(found).toMatchObject([{ id: 'environment.other', verdict: 'warn' }]);
    expect(JSON.stringify(found)).not.toContain('pw@');
  });

  it('finds credentials of backup stores within reach', async () => {
    put('rclone.conf', '[b2]\ntype = b2\n');
    put('notes.txt', 'aws_secret_access_key = abc\n');
    const { all, ran } = await findings(site, { RESTIC_PASSWORD: 'marker-4711' });
    expect(
      all
        .filter(({ id, verdict }) => id === 'files.backups' && verdict === 'fail')
        .map(({ found }) => found.split(' looks')[0]),
    ).toEqual(['the variable RESTIC_PASSWORD', 'notes.txt', 'rclone.conf']);
    expect(ran.stdout).not.toContain('marker-4711');
  });

  it('finds a state that is gone although something had been recorded', async () => {
    const [db, aside] = ['state/countersign.db', 'state/aside'].map((name) => join(site.directory, name));
    if (db === undefined || aside === undefined) return;
    cpSync(db, aside);
    rmSync(db);
    undo.push(() => cpSync(aside, db));
    expect(wrong((await findings(site)).all)).toContain('state.open');
  });

  it('finds a staging that is a physical copy of production', async () => {
    if (newest === undefined) return;
    const { dataDirectory, port } = site.server;
    const copy = `${dataDirectory}.copy`;
    await site.server.stop();
    cpSync(dataDirectory, copy, { recursive: true, preserveTimestamps: true });
    if (process.getuid?.() === 0) await ownAs(copy, dataDirectory);
    const again = await startEmbeddedServer({ dataDirectory, binaries: newest.binaries, durable: false, port });
    const clone = await startEmbeddedServer({ dataDirectory: copy, binaries: newest.binaries, durable: false });
    try {
      const init = [
        'init',
        '--database',
        clone.url('rental'),
        '--environment',
        'staging',
        '--owner',
        'ada',
        '--yes',
        '--json',
      ];
      expect((await site.run(...init)).stderr).not.toContain('failed');
      const { all } = await findings(site);
      expect(all.find(({ id }) => id === 'identity.separation')).toMatchObject({ verdict: 'fail' });
    } finally {
      await clone.stop();
      await again.stop();
      rmSync(copy, { recursive: true, force: true });
    }
  }, 60_000);
});

async function ownAs(copy: string, original: string): Promise<void> {
  const { execFileSync } = await import('node:child_process');
  execFileSync('chown', ['-R', `--reference=${original}`, copy]);
  chmodSync(copy, 0o700);
}

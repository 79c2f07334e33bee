import { chmodSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Site, startSite, WORK } from '../fixtures/gateway.ts';
import { asSuperuser, newest } from '../fixtures/postgres.ts';

interface Finding {
  readonly id: string;
  readonly verdict: string;
  readonly found: string;
  readonly fix: string | null;
}

describe.each(newest)('G13 credential audit, of $name', ({ binaries }) => {
  let site: Site;
  let unread: string;

  beforeAll(async () => {
    site = await startSite(binaries);
    await asSuperuser(
      site.databaseUrl,
      `CREATE ROLE booking LOGIN PASSWORD 'booking-secret'; GRANT CONNECT ON DATABASE rental TO booking; GRANT INSERT ON public.vehicles TO booking;
       CREATE ROLE quiet LOGIN NOINHERIT; GRANT rental_owner TO quiet; GRANT CONNECT ON DATABASE rental TO quiet;
       CREATE ROLE peeping LOGIN VALID UNTIL '2020-01-01'; GRANT CONNECT ON DATABASE rental TO peeping; GRANT SELECT (id) ON public.customers TO peeping;
       CREATE ROLE programs LOGIN IN ROLE pg_execute_server_program; GRANT CONNECT ON DATABASE rental TO programs;
       CREATE ROLE outside LOGIN; GRANT SELECT ON public.customers TO outside;
       CREATE ROLE harmless LOGIN; GRANT CONNECT ON DATABASE rental TO harmless;
       CREATE FUNCTION public.as_root(t text) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS 'BEGIN EXECUTE t; END'; ALTER FUNCTION public.as_root(text) OWNER TO postgres; GRANT EXECUTE ON FUNCTION public.as_root(text) TO PUBLIC;
       CREATE FUNCTION public.on_ddl() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
       CREATE EVENT TRIGGER watching ON ddl_command_end EXECUTE FUNCTION public.on_ddl(); ALTER FUNCTION public.on_ddl() OWNER TO booking;
       CREATE FOREIGN DATA WRAPPER nothing; CREATE SERVER other FOREIGN DATA WRAPPER nothing; CREATE USER MAPPING FOR PUBLIC SERVER other OPTIONS (password 'hush-hush');
       SELECT pg_create_physical_replication_slot('forgotten')`,
    );
  }, 60_000);
  afterAll(() => site?.remove());

  const audit = async () => {
    const ran = await site.run('credentials', 'audit', '--json');
    return { code: ran.code, findings: ran.json<{ findings: Finding[] }>().findings };
  };
  const of = (findings: readonly Finding[], id: string) =>
    findings.filter((finding) => finding.id === id && finding.verdict !== 'ok');

  it('names every login that gets in past the gateway, by its worst power, also what it only could take on', async () => {
    const { code, findings } = await audit();
    expect(code).toBe(1);
    const said = (id: string) => of(findings, id).map(({ found }) => found.split(' ')[0]);
    expect(said('credentials.login.cluster')).toEqual(['postgres', 'programs']);
    expect(said('credentials.login.owner')).toEqual(['quiet']);
    expect(said('credentials.login.writer')).toEqual(['booking', 'rental_app']);
    expect(said('credentials.login.reader')).toEqual(['peeping']);
    unread = of(findings, 'reach.hba')[0]?.fix ?? '';
    const text = JSON.stringify(findings);
    expect(text).toContain('its password has ended 2020-01-01');
    expect(text).not.toMatch(/"found":"(outside|harmless|countersign_)/);
    expect(text).not.toContain('hush-hush');
  });

  it('says who is connected past the gateway right now, and who took the gateway’s own password', async () => {
    const url = new URL(site.databaseUrl);
    const connect = async (user: string, password: string) => {
      const client = new pg.Client({
        host: url.hostname,
        port: Number(url.port),
        database: 'rental',
        user,
        password,
        application_name: 'a script',
      });
      await client.connect();
      return client;
    };
    const secrets = join(site.directory, 'secrets');
    const file = readdirSync(secrets).find((name) => name.includes('session')) ?? '';
    const clients = [
      await connect('booking', 'booking-secret'),
      await connect('countersign_session', readFileSync(join(secrets, file), 'utf8').trim()),
    ];
    // Until it may, it can't tell by which lines.
    await asSuperuser(site.databaseUrl, unread);
    const { findings } = await audit();
    for (const client of clients) await client.end();
    expect(of(findings, 'credentials.login.writer')[0]?.found).toMatch(
      /let in by pg_hba.conf line \d+ \(scram-sha-256\).*connected now: 1 from 127.0.0.1 \(a script\)/,
    );
    expect(of(findings, 'credentials.own').map(({ found }) => found)).toEqual([
      expect.stringContaining('connected as countersign_session'),
    ]);
  });

  it('lists them all, Countersign’s own as such, with tokens and keys, and no secret', async () => {
    const task = await site.openTask(WORK);
    const ran = await site.run('credentials', 'list');
    expect(ran.code).toBe(0);
    expect(ran.stdout).toMatch(/countersign_session +Countersign: makes the logins of tasks/);
    expect(ran.stdout).toMatch(/harmless +not Countersign’s: may do nothing with tables/);
    expect(ran.stdout).toContain(`${task.task}`);
    expect(ran.stdout).not.toContain(task.token);
  });

  it('closes each with the very statement that it says', async () => {
    const before = await audit();
    const statements = before.findings
      .filter(({ id, verdict }) => id.startsWith('credentials.') && verdict !== 'ok')
      .map(({ fix }) => (fix ?? '').split('  --')[0] ?? '');
    expect(statements.length).toBeGreaterThanOrEqual(9);
    // The test itself comes in as the superuser, who is said to be known.
    for (const sql of statements.filter((sql) => !sql.includes('"postgres" NOLOGIN')))
      await asSuperuser(site.databaseUrl, sql);
    site.edit((text) => text.replace(/^( {4}credentials:\n)/m, '    logins: { postgres: the administrator }\n$1'));
    const { findings } = await audit();
    expect(findings.filter(({ id, verdict }) => id.startsWith('credentials.') && verdict !== 'ok')).toEqual([]);
  });

  it('finds tasks that last, and secrets that others can read', async () => {
    site.edit((text) => text.replace(/^roles:\n {2}[\w-]+:\n/m, '$&    maxTask: 30d\n'));
    const task = await site.openTask(WORK.replace('expires: 2h', 'expires: 8d'));
    const elsewhere = join(site.directory, 'hook.secret');
    writeFileSync(elsewhere, `whsec_${Buffer.alloc(32).toString('base64')}`);
    chmodSync(elsewhere, 0o644);
    site.edit(
      (text) =>
        `${text}\nnotifications:\n  webhooks: [{ url: 'http://127.0.0.1:9/', secret: '\${file:hook.secret}' }]\n`,
    );
    const { code, findings } = await audit();
    expect(code).toBe(1);
    expect(of(findings, 'credentials.task')[0]?.fix).toContain(`countersign task close ${task.task}`);
    expect(of(findings, 'files.mode').map(({ fix }) => fix)).toEqual([`chmod go= ${elsewhere}`]);
  });

  it('says that it could not look, and never that all is well', async () => {
    await site.server.stop();
    const ran = await site.run('credentials', 'audit', '--json');
    expect(ran.code).toBe(3);
    expect((await site.run('credentials', 'list')).code).toBe(3);
  });
});

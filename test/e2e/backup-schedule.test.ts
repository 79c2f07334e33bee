import { chmodSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Served, type Site, startSite } from '../fixtures/gateway.ts';
import { asSuperuser, servers } from '../fixtures/postgres.ts';
import { countersign } from '../fixtures/run-command.ts';

const host = servers.filter(({ binaries }) => binaries.from === 'host').slice(0, 1);
/** A process, a dump, a server and a restore: on a machine that does other things as well. */
const PATIENCE = { timeout: 60_000, interval: 250 };

if (host.length === 0) it.skip('needs a PostgreSQL server of the host', () => undefined);

describe.each(host)('G10 backups that come round by themselves, of $name', ({ binaries }) => {
  let site: Site;
  let gateways: Served[] = [];
  const told: { type: string; data: Record<string, unknown> }[] = [];
  const receiver = createServer(async (request, response) => {
    told.push(JSON.parse(await text(request)));
    response.end();
  });

  beforeAll(async () => {
    site = await startSite(binaries, {
      scale: 0.02,
      schema: "CREATE ROLE countersign_backup LOGIN PASSWORD 'backup-secret' IN ROLE pg_read_all_data",
    });
    await asSuperuser(site.databaseUrl, 'GRANT CONNECT ON DATABASE rental TO countersign_backup');
    const file = (name: string, content: string) => writeFileSync(join(site.directory, name), content, { mode: 0o600 });
    file('keys/backup-login', 'backup-secret');
    file('keys/webhook', `whsec_${Buffer.alloc(32).toString('base64')}`);
    const made = await countersign(['backup', 'key', join(site.directory, 'keys/backup.age'), '--json']);
    const { recipient } = made.json<{ recipient: string }>();
    await new Promise<void>((resolve) => receiver.listen(0, '127.0.0.1', resolve));
    const hook = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/`;
    site.edit((config) =>
      `${config}\nnotifications:\n  webhooks: [{ url: '${hook}', secret: '\${file:keys/webhook}' }]\n`
        .replace(
          /^( {4}credentials:\n)/m,
          "$1      backup: { user: countersign_backup, password: '${file:keys/backup-login}' }\n",
        )
        .replace(
          /^( {4}credentials:\n)/m,
          `    backup:\n      store: { directory: kept }\n      recipients: [${recipient}]\n      identity: '\${file:keys/backup.age}'\n      workDirectory: under-way\n      create: { every: 6h }\n      drill: { every: 7d }\n$1`,
        ),
    );
    // Nobody may read a key that others can read: the drill can't be made.
    chmodSync(join(site.directory, 'keys/backup.age'), 0o644);
  }, 120_000);
  afterAll(async () => {
    receiver.close();
    await site?.remove();
  });

  const entries = async (kind: string) =>
    (await site.ask<{ entries: { body: Record<string, unknown> }[] }>('ledger', 'show', '--kind', kind)).entries;
  const works = async () =>
    (
      await site.ask<{ targets: { works: { name: string; failures: number; why: string | null }[] }[] }>(
        'backup',
        'list',
      )
    ).targets[0]?.works;
  const figure = async (name: string) => {
    const page = await (await fetch(`${gateways[0]?.http}/metrics`)).text();
    return Number(new RegExp(`^${name}\\{.*\\} (.*)$`, 'm').exec(page)?.[1]?.replace('+Inf', 'Infinity'));
  };

  it('end with the gateway that made them, however it ends', async () => {
    const gateway = await site.serve();
    await expect.poll(gateway.log, PATIENCE).toContain('is due, and begins');
    await expect.poll(beside, PATIENCE).not.toEqual([]);
    await gateway.kill();
    await expect.poll(beside, PATIENCE).toEqual([]);
  }, 90_000);

  it('are taken over by one of two others, once, and leave nothing in the clear', async () => {
    gateways = await Promise.all([site.serve(), site.serve()]);
    await expect.poll(() => told.length, PATIENCE).toBe(1);
    const begun = gateways.map((gateway) => gateway.log().match(/is due, and begins/g)?.length ?? 0);
    expect(begun.reduce((sum, times) => sum + times)).toBe(2);
    expect(await entries('backup')).toHaveLength(1);
    expect(readdirSync(join(site.directory, 'under-way'))).toEqual([]);
    expect(await figure('countersign_backup_age_seconds')).toBeLessThan(600);
    expect((await site.run('backup', 'list')).stdout).toMatch(/next {2}backup of rental-production: 20/);
  }, 90_000);

  it('tell the owner, the ledger and whoever looks when they can’t be made', async () => {
    expect(told).toMatchObject([{ type: 'drill.failed', data: { target: 'rental-production', owner: 'ada' } }]);
    expect(told[0]?.data['why']).toContain('can be read by others');
    const [noted] = await entries('not done');
    expect(told[0]?.data).toMatchObject(noted?.body ?? {});
    expect(noted?.body).toMatchObject({ what: 'drill', failures: 1 });
    expect(await works()).toMatchObject([{ failures: 0 }, { name: 'drill', failures: 1 }]);
    expect(await figure('countersign_drill_age_seconds')).toBe(Infinity);
    const doctor = await countersign(['doctor', '--config', site.config, '--json'], { cwd: site.directory });
    const { findings } = doctor.json<{ findings: { id: string; verdict: string }[] }>();
    expect(findings.find(({ id }) => id === 'backups.schedule')?.verdict).toBe('fail');
  }, 60_000);

  it('count as mended once a person has done it', async () => {
    chmodSync(join(site.directory, 'keys/backup.age'), 0o600);
    await site.ask('drill', 'run');
    expect(await works()).toMatchObject([{ failures: 0 }, { name: 'drill', failures: 0 }]);
    expect(await figure('countersign_drill_age_seconds')).toBeLessThan(600);
  }, 60_000);

  /** What a gateway of this site has begun beside itself, and what that has begun. */
  function beside(): string[] {
    return readdirSync('/proc').filter((pid) => {
      if (!/^\d+$/.test(pid)) return false;
      try {
        const said = readFileSync(`/proc/${pid}/cmdline`, 'utf8');
        return said.includes(site.directory) && /--beside-gateway|pg_dump/.test(said);
      } catch (error) {
        // It has ended since.
        if (['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '')) return false;
        throw error;
      }
    });
  }
});

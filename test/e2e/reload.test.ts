import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import pino from 'pino';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { LedgerUnavailable } from '../../src/ledger/ledger.ts';
import { loadGovernance } from '../../src/server/load-governance.ts';
import { openCountersign } from '../../src/server/open-countersign.ts';
import { createReload } from '../../src/server/reload.ts';
import { mcpClient, type OpenedTask, type Served, type Site, startSite, WORK } from '../fixtures/gateway.ts';
import { asSuperuser, servers } from '../fixtures/postgres.ts';

const SOON = { timeout: 15_000, interval: 100 };

describe.each(servers.slice(0, 1))(
  'a gateway whose configuration changes while it runs, before $name',
  ({ binaries }) => {
    let site: Site;
    let gateway: Served;
    let task: OpenedTask;
    let session: pg.Client;
    let config: string;
    let writes: string;
    const policies = () => join(site.directory, 'policies/2-writes.cedar');

    beforeAll(async () => {
      site = await startSite(binaries);
      gateway = await site.serve();
      task = await site.openTask(WORK);
      session = await connect();
      config = readFileSync(site.config, 'utf8');
      writes = readFileSync(policies(), 'utf8');
    }, 60_000);
    afterEach(async () => {
      writeFileSync(policies(), writes);
      writeFileSync(site.config, config);
      await expect.poll(async () => (await status())['reload'], SOON).toBeUndefined();
      await expect.poll(() => outcomeOf(session, write(1)), SOON).toBe('ran');
    }, 60_000);
    afterAll(async () => {
      await session?.end().catch(() => undefined);
      await site?.remove();
    });

    const farewells: string[] = [];
    async function connect(): Promise<pg.Client> {
      const client = new pg.Client({ connectionString: task.postgres });
      client.on('error', (error: Error & { code?: string }) => farewells.push(`${error.code} ${error.message}`));
      await client.connect();
      return client;
    }

    /** As soon as it is let in again. */
    async function connectAnew(): Promise<void> {
      await session.end().catch(() => undefined);
      const letIn = async () => {
        session = await connect();
        return 'in';
      };
      await expect.poll(() => letIn().catch(String), SOON).toBe('in');
    }

    async function status(): Promise<Record<string, unknown>> {
      const mcp = await mcpClient(task.mcp);
      const answer = await mcp.call('get_status');
      await mcp.close();
      return answer;
    }

    const write = (id: number) => `UPDATE public.customers SET loyalty_points = loyalty_points WHERE id = ${id}`;
    /** What a session was told as it ended: in answer to a statement, or by itself. */
    const endOf = async (client: pg.Client) => [await outcomeOf(client, 'SELECT 1'), ...farewells].join('\n');
    const outcomeOf = (client: pg.Client, sql: string): Promise<string> =>
      client.query(sql).then(
        () => 'ran',
        (error: { code?: string; message: string }) => `${error.code} ${error.message}`,
      );
    const entries = async () =>
      (
        await site.ask<{ entries: { entry: { body: Record<string, unknown> } }[] }>(
          'ledger',
          'show',
          '--kind',
          'reload',
        )
      ).entries;
    const tightened = () =>
      `${writes}\n@id("no-vips")\n@reason("Nobody touches customers today")\n@instead("Come back tomorrow.")\nforbid (principal, action == Action::"update", resource) when { resource.name == "customers" };\n`;

    it('judges the next statement of an open session by the tightened policy, and says so in the ledger', async () => {
      expect(await outcomeOf(session, write(2))).toBe('ran');
      const before = (await entries()).length;
      const prepared = { name: 'touch', text: write(2).replace('= 2', '= $1'), values: [2] };
      expect((await session.query(prepared)).rowCount).toBe(1);
      writeFileSync(policies(), tightened());
      await expect.poll(() => outcomeOf(session, write(2)), SOON).toMatch(/^CS002 Nobody touches customers today/);
      await expect(session.query(prepared)).rejects.toMatchObject({ code: 'CS002' });
      expect(await outcomeOf(session, 'SELECT 1 FROM public.customers WHERE id = 2')).toBe('ran');
      const [entry] = (await entries()).slice(before);
      const body = JSON.stringify(entry);
      expect(body).toContain('"outcome":"loaded"');
      expect(body.match(/"policyDigest":"sha256:[0-9a-f]{64}"/g)?.length).toBe(2);
    }, 60_000);

    it('rolls back what was open when the policy was tightened: a transaction is judged again at COMMIT', async () => {
      const other = await connect();
      await other.query('BEGIN');
      await other.query('UPDATE public.customers SET loyalty_points = 777777 WHERE id = 3');
      writeFileSync(policies(), tightened());
      await expect.poll(() => outcomeOf(session, write(2)), SOON).toMatch(/^CS002/);
      expect(await outcomeOf(other, 'COMMIT')).toMatch(/^CS002/);
      await other.end();
      const [row] = await asSuperuser<{ n: number }>(
        site.databaseUrl,
        'SELECT loyalty_points AS n FROM customers WHERE id = 3',
      );
      expect(row?.n).not.toBe(777_777);
    }, 60_000);

    it('applies no plan that the new policies forbid, whoever approved it under the old', async () => {
      const held = await session
        .query('UPDATE public.customers SET loyalty_points = 1')
        .catch((error: unknown) => error);
      const plan = /Plan (sha256:[0-9a-f]{64})/.exec((held as { detail: string }).detail)?.[1] ?? 'none';
      await site.ask('plan', 'approve', plan, '--as', 'ada');
      writeFileSync(policies(), tightened());
      await expect.poll(() => outcomeOf(session, write(2)), SOON).toMatch(/^CS002/);
      expect(await outcomeOf(session, `CALL countersign.apply('${plan}')`)).toMatch(/Nobody touches customers today/);
      expect((await site.ask('plan', 'show', plan))['state']).toBe('approved');
    }, 60_000);

    it.each<[what: string, file: 'config' | 'policies', wrong: (text: string) => string, why: RegExp]>([
      ['a half-written configuration', 'config', (text) => text.slice(0, text.length / 2), /countersign\.yaml:\d+:\d+/],
      [
        'a configuration that is wrong in one key',
        'config',
        (text) => text.replace('tier: production', 'tier: prod'),
        /countersign\.yaml:\d+:\d+ environments\.production\.tier: /,
      ],
      ['a policy that is no Cedar', 'policies', (text) => `${text}\nallow everything`, /2-writes\.cedar: /],
      [
        'an address that is listened on',
        'config',
        (text) => text.replace('pg: 127.0.0.1:0', 'pg: 127.0.0.1:6999'),
        /listen: this can't change while the gateway runs/,
      ],
      [
        'another database under the same name',
        'config',
        (text) => text.replace(/sha256:[0-9a-f]{64}(?=\n)/, `sha256:${'0'.repeat(64)}`),
        /targets\.rental-production: this can't change while the gateway runs/,
      ],
    ])(
      'keeps what is in force with %s, and says why',
      async (_, file, wrong, why) => {
        const path = file === 'config' ? site.config : policies();
        const text = file === 'config' ? config : writes;
        expect(wrong(text)).not.toBe(text);
        const before = (await entries()).length;
        writeFileSync(path, wrong(text));
        await expect
          .poll(async () => (await status())['reload'], SOON)
          .toMatchObject({ failed: true, why: expect.stringMatching(why), since: expect.stringMatching(/^20/) });
        expect(await outcomeOf(session, write(4))).toBe('ran');
        writeFileSync(path, text);
        await expect.poll(async () => (await status())['reload'], SOON).toBeUndefined();
        const told = (await entries()).slice(before).map((entry) => JSON.stringify(entry));
        expect(told[0]).toContain('"outcome":"refused"');
        expect(told.at(-1)).toContain('"outcome":"loaded"');
        expect(gateway.log()).toContain('the configuration was not loaded anew: what was in force stays');
      },
      60_000,
    );

    it('holds writes from the moment a freeze is written down until it is taken out', async () => {
      const until = new Date(Date.now() + 3_600_000).toISOString();
      const freeze = `freezes:\n  - { environment: production, from: 2026-01-01T00:00:00Z, until: "${until}", reason: the launch }\n`;
      writeFileSync(site.config, `${config.replace(/^freezes:.*\n/m, '')}\n${freeze}`);
      await expect.poll(() => outcomeOf(session, write(5)), SOON).toMatch(/^CS001/);
      const held = (await session.query(write(5)).catch((error: unknown) => error)) as { detail: string };
      expect(held.detail).toContain('the launch');
      expect(await status()).toMatchObject({ freezes: [{ environment: 'production', reason: 'the launch' }] });
      writeFileSync(site.config, config);
      await expect.poll(() => outcomeOf(session, write(5)), SOON).toBe('ran');
    }, 60_000);

    it('looks again at SIGHUP, also where no file has changed', async () => {
      writeFileSync(policies(), 'allow everything');
      await expect.poll(async () => (await status())['reload'], SOON).toMatchObject({ failed: true });
      const before = (await entries()).length;
      gateway.process.kill('SIGHUP');
      await expect.poll(async () => (await entries()).length, SOON).toBe(before + 1);
      expect(gateway.process.exitCode).toBeNull();
    }, 60_000);

    it('G11 can be halted while the policies are wrong', async () => {
      writeFileSync(policies(), 'allow everything');
      await site.ask('halt', '--reason', 'who wrote this?');
      await expect.poll(() => outcomeOf(session, 'SELECT 1'), SOON).toMatch(/^CS004/);
      expect((await site.run('task', 'list')).code).toBe(2);
      await site.ask('resume', '--reason', 'mended');
    }, 60_000);

    it('G7 brings nothing into force that is not recorded, and tries again', async () => {
      const log = pino({ level: 'silent' });
      const countersign = await openCountersign(await loadGovernance(site.config), log);
      const reload = createReload(countersign, { endSessions: async () => undefined });
      const before = countersign.policies.digest;
      const fault = vi.spyOn(countersign.proof, 'record').mockRejectedValue(new LedgerUnavailable('the disk is full'));
      try {
        writeFileSync(policies(), tightened());
        expect(await reload.now()).toBe('try again');
        expect(reload.status()).toMatchObject({ failed: true, why: expect.stringContaining('ledger') });
        expect(countersign.policies.digest).toBe(before);
        fault.mockRestore();
        expect(await reload.now()).toBe('seen through');
        expect(reload.status()).toBeNull();
        expect(countersign.policies.digest).not.toBe(before);
      } finally {
        fault.mockRestore();
        await countersign.close();
      }
    }, 60_000);

    it('takes nothing into force that is written to while it is read', async () => {
      const countersign = await openCountersign(await loadGovernance(site.config), pino({ level: 'silent' }));
      const reload = createReload(countersign, { endSessions: async () => undefined });
      const before = countersign.policies.digest;
      const told = (await entries()).length;
      try {
        writeFileSync(policies(), tightened());
        await reload.now(async () => false);
        expect(countersign.policies.digest).toBe(before);
        writeFileSync(policies(), 'allow every');
        await reload.now(async () => false);
        expect(reload.status()).toBeNull();
      } finally {
        writeFileSync(policies(), writes);
        await countersign.close();
      }
      const since = (await entries()).slice(told).map((entry) => JSON.stringify(entry));
      expect(since.filter((entry) => entry.includes(countersign.proof.node))).toEqual([]);
    }, 60_000);

    it('records nothing where a file was only touched', async () => {
      const before = (await entries()).length;
      writeFileSync(site.config, config);
      writeFileSync(policies(), tightened());
      await expect.poll(() => outcomeOf(session, write(6)), SOON).toMatch(/^CS002/);
      expect((await entries()).length).toBe(before + 1);
    }, 60_000);

    it('lets a read end that runs while the policies change', async () => {
      const reading = outcomeOf(session, 'SELECT count(*) FROM generate_series(1, 15000000)');
      const other = await connect();
      writeFileSync(policies(), tightened());
      await expect.poll(() => outcomeOf(other, write(7)), SOON).toMatch(/^CS002/);
      expect(await reading).toBe('ran');
      await other.end();
    }, 60_000);

    it('ends the sessions of an agent that is taken out, and tells why', async () => {
      const other = await connect();
      writeFileSync(site.config, config.replace(/^( +)migrator:(?=.*\n?.*owner)/m, '$1other:'));
      await expect
        .poll(() => endOf(other), SOON)
        .toMatch(/CS002 The agent migrator of task task_\w+ is no longer in the configuration/);
      await other.end().catch(() => undefined);
      await expect(connect()).rejects.toThrow(/no longer in the configuration/);
      expect((await site.run('plan', 'list')).code).toBe(0);
      await expect(site.openTask(WORK)).rejects.toThrow('There is no agent migrator');
      writeFileSync(site.config, config);
      await connectAnew();
    }, 60_000);

    it('ends the sessions on a target that is taken out, lets go of it, and takes it back', async () => {
      const other = await connect();
      writeFileSync(site.config, config.replace(/^targets:\n(?: .*\n)+/m, 'targets: {}\n'));
      await expect
        .poll(() => endOf(other), SOON)
        .toMatch(/CS002 The target rental-production is no longer in the configuration/);
      await other.end().catch(() => undefined);
      await expect(connect()).rejects.toThrow(/no longer in the configuration/);
      writeFileSync(site.config, config);
      await connectAnew();
    }, 60_000);
  },
);

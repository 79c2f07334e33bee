import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createPersonKey } from '../../src/approval/person-key.ts';
import { mcpClient, type OpenedTask, type Site, startSite, WORK } from '../fixtures/gateway.ts';
import { asSuperuser, servers } from '../fixtures/postgres.ts';

describe.each(servers.slice(0, 1))('G4 who may countersign, before $name', ({ binaries }) => {
  let site: Site;
  let task: OpenedTask;

  beforeAll(async () => {
    site = await startSite(binaries);
    mkdirSync(join(site.directory, 'keys/people'), { recursive: true });
    const people = ['grace', 'edsger', 'barbara'].map((name) => {
      const key = createPersonKey(join(site.directory, `keys/people/${name}.key`));
      const approves = name === 'barbara' ? '[]' : '["*"]';
      return `    ${name}: { name: ${name}, publicKeys: ["${key}"], approves: ${approves} }\n`;
    });
    site.edit((text) =>
      text
        .replace('  people:\n', `  people:\n${people.join('')}`)
        .replace('quorum: 1\n', 'quorum: 2\n')
        .replace('quorumUnmeasured: 1', 'quorumUnmeasured: 3'),
    );
    await site.serve();
    const file = join(site.directory, 'asked.yaml');
    writeFileSync(file, WORK);
    task = await site.ask('task', 'open', '--file', file, '--on-behalf-of', 'ada');
  }, 60_000);
  afterAll(() => site?.remove());

  async function propose(sql: string): Promise<{ id: string; missing: string[] }> {
    const mcp = await mcpClient(task.mcp);
    const { outcome, plan } = await mcp.call('execute_sql', { target: 'rental-production', sql });
    await mcp.close();
    expect(outcome).toBe('held');
    return plan as { id: string; missing: string[] };
  }
  const approve = (id: string, who: string, ...more: string[]) =>
    site.run('plan', 'approve', id, '--as', who, '--json', ...more);

  it('takes two different people, of whom none asked for it, each with their own key', async () => {
    const { id, missing } = await propose('DELETE FROM customers WHERE id = 1 OR true');
    expect(missing.join()).toContain('2 different people');
    expect(await approve(id, 'ada')).toMatchObject({ code: 1, stderr: expect.stringContaining('their own intent') });
    expect(await approve(id, 'barbara')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('barbara has not the right plan.decide'),
    });
    expect(await approve(id, 'grace', '--key', join(site.directory, 'keys/people/edsger.key'))).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('not one of grace'),
    });
    expect((await approve(id, 'grace')).json()).toMatchObject({ state: 'held', approvalsMissing: 1 });
    expect((await approve(id, 'grace')).code).toBe(1);
    expect(await site.run('plan', 'apply', id, '--as', 'grace')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('not approved'),
    });
    const [one, two] = await Promise.all([approve(id, 'edsger'), site.run('plan', 'show', id, '--json')]);
    expect(one.json()).toMatchObject({ state: 'approved', approvalsMissing: 0 });
    expect(two.code).toBe(0);
  }, 60_000);

  it('ends with the plan’s time, which is written down', async () => {
    site.edit((text) => text.replace('quorum: 2\n', 'quorum: 2\n    planLifetime: 3s\n'));
    const reloads = async () => (await site.ask<{ entries: unknown[] }>('ledger', 'show', '--kind', 'reload')).entries;
    await expect.poll(reloads, { timeout: 20_000, interval: 300 }).not.toEqual([]);
    const { id } = await propose('DELETE FROM customers WHERE id = 2 OR true');
    const stateOf = async () => (await site.ask('plan', 'show', id))['state'];
    await expect.poll(stateOf, { timeout: 40_000, interval: 500 }).toBe('expired');
    expect((await approve(id, 'grace')).code).toBe(1);
    const deadline = Date.now() + 30_000;
    let kinds: string[] = [];
    while (!kinds.includes('expired') && Date.now() < deadline) {
      const { entries } = await site.ask<{ entries: { kind: string }[] }>('ledger', 'show', '--subject', id);
      kinds = entries.map(({ kind }) => kind);
      await sleep(300);
    }
    expect(kinds).toEqual(['plan', 'expired']);
    expect(await asSuperuser(site.databaseUrl, 'SELECT 1 FROM customers LIMIT 1')).toHaveLength(1);
  }, 120_000);

  it('asks for more people where the effect can’t be measured', async () => {
    const { missing } = await propose('CREATE INDEX CONCURRENTLY slow ON customers (full_name)');
    expect(missing.join()).toContain('3 different people');
  });
});

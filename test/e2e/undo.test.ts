import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { mcpClient, type OpenedTask, type Site, startSite, WORK } from '../fixtures/gateway.ts';
import { asSuperuser, servers } from '../fixtures/postgres.ts';

/** Whatever changes more than five rows becomes a plan. */
const TASK = WORK.replace(/write: \[.*\]/, 'write: [public.*]').replace('rowsPerStatement: 100', 'rowsPerStatement: 5');
const CONTENT = ['customers', 'reservations', 'payments', 'damage_reports', 'audit_log', 'vehicles']
  .map((table) => `SELECT '${table}' AS t, count(*), md5(string_agg(x::text, '' ORDER BY x::text)) FROM ${table} AS x`)
  .join(' UNION ALL ');

describe.each(servers.slice(0, 1))('G8 the way back of a plan, before $name', ({ binaries }) => {
  let site: Site;
  let task: OpenedTask;
  let mcp: Awaited<ReturnType<typeof mcpClient>>;
  beforeAll(async () => {
    site = await startSite(binaries);
    await site.serve();
    task = await site.openTask(TASK);
    mcp = await mcpClient(task.mcp);
  }, 60_000);
  afterAll(async () => {
    await mcp?.close();
    await site?.remove();
  });

  const content = () => asSuperuser(site.databaseUrl, CONTENT);
  async function countersigned(id: string): Promise<void> {
    await site.ask('plan', 'approve', id, '--as', 'ada');
    expect(await site.ask('plan', 'apply', id, '--as', 'ada')).toMatchObject({ state: 'applied' });
  }
  async function change(sql: string): Promise<string> {
    const { outcome, plan } = await mcp.call('execute_sql', { target: 'rental-production', sql });
    expect(outcome).toBe('held');
    const { id } = plan as { id: string };
    await countersigned(id);
    return id;
  }
  const undo = (id: string, ...more: string[]) => site.run('change', 'undo', id, '--as', 'ada', '--json', ...more);

  it('is a plan of its own: tried, countersigned, applied once, and taken back in turn', async () => {
    const before = await content();
    const id = await change('DELETE FROM customers WHERE id <= 20');
    const after = await content();
    expect(after).not.toEqual(before);
    expect(await site.ask('change', 'list')).toMatchObject({ changes: [{ id, undoneBy: null }] });

    const made = (await undo(id)).json<{ plan: string; state: string; effect: string }>();
    expect(made).toMatchObject({ state: 'held', undoes: id, newer: [] });
    expect(made.effect).toContain('public.customers: 20 inserted');
    expect(await content()).toEqual(after);
    expect((await undo(id)).json()).toMatchObject({ plan: made.plan });
    const { stdout } = await site.run('plan', 'show', made.plan);
    expect(stdout).toContain(`undoes    change ${id.slice(7, 19)}: its rows are put back as they were, asked by ada`);
    expect(await site.run('plan', 'apply', made.plan, '--as', 'ada')).toMatchObject({ code: 1 });

    await countersigned(made.plan);
    expect(await content()).toEqual(before);
    expect(await site.ask('plan', 'apply', made.plan, '--as', 'ada')).toMatchObject({ already: true });
    expect(await site.ask('change', 'show', id)).toMatchObject({ undoneBy: made.plan });
    expect((await undo(id)).stderr).toContain('has been undone already');

    const again = (await undo(made.plan)).json<{ plan: string }>();
    await countersigned(again.plan);
    expect(await content()).toEqual(after);
    expect(await site.ask('change', 'show', id)).toMatchObject({ undoneBy: null });
    const back = (await undo(id)).json<{ plan: string }>();
    expect(back.plan).not.toBe(made.plan);
    await countersigned(back.plan);
    expect(await content()).toEqual(before);
  }, 60_000);

  it('is refused with the rows that somebody has changed since, and leaves them when told to', async () => {
    const id = await change("UPDATE customers SET full_name = 'Nobody' WHERE id BETWEEN 30 AND 60");
    await asSuperuser(
      site.databaseUrl,
      "UPDATE customers SET full_name = 'Newer' WHERE id = 31; DELETE FROM customers WHERE id = 32",
    );
    const refused = await undo(id);
    expect(refused.code).toBe(1);
    expect(refused.json()).toMatchObject({ refused: { code: 'CS003' } });
    expect(refused.stderr).toContain('public.customers id = 31 has been changed since');
    expect(refused.stderr).toContain('public.customers id = 32 is gone');
    expect(refused.stderr).not.toContain('id = 33');

    const made = (await undo(id, '--keep-newer')).json<{ plan: string; newer: string[] }>();
    expect(made.newer).toEqual(['public.customers id = 31 has been changed since', 'public.customers id = 32 is gone']);
    await site.ask('plan', 'approve', made.plan, '--as', 'ada');
    // Once more somebody is faster than the apply: what was approved is no longer what would happen.
    await asSuperuser(site.databaseUrl, "UPDATE customers SET full_name = 'Newest' WHERE id = 35");
    expect(await site.run('plan', 'apply', made.plan, '--as', 'ada')).toMatchObject({ code: 1 });
    const anew = (await undo(id, '--keep-newer')).json<{ plan: string }>();
    await countersigned(anew.plan);
    const names = await asSuperuser(
      site.databaseUrl,
      "SELECT id, full_name FROM customers WHERE full_name IN ('Nobody', 'Newer', 'Newest') ORDER BY id",
    );
    expect(names).toEqual([
      { id: '31', full_name: 'Newer' },
      { id: '35', full_name: 'Newest' },
    ]);
  }, 60_000);

  it('can be proposed by the agent, and applied by a person only', async () => {
    const before = await content();
    const id = await change('TRUNCATE customers CASCADE');
    const { changes } = (await mcp.call('list_changes')) as { changes: { change: string; undoneBy: string | null }[] };
    expect(changes[0]).toMatchObject({ change: id, undoneBy: null });
    const proposed = (await mcp.call('undo_change', { change: id })) as {
      outcome: string;
      plan: { id: string; state: string };
    };
    expect(proposed).toMatchObject({ outcome: 'plan', plan: { state: 'held' } });
    expect(await mcp.call('apply_plan', { plan: proposed.plan.id })).toMatchObject({ outcome: 'held' });
    await site.ask('plan', 'approve', proposed.plan.id, '--as', 'ada');
    expect(await mcp.call('apply_plan', { plan: proposed.plan.id })).toMatchObject({ outcome: 'applied' });
    expect(await content()).toEqual(before);
    const other = await mcpClient((await site.openTask(TASK)).mcp);
    expect(await other.call('undo_change', { change: id })).toMatchObject({ outcome: 'denied' });
    await other.close();
    expect((await site.run('ledger', 'verify')).code).toBe(0);
  }, 60_000);
});

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ActorId, asId } from '../../src/domain/ids.ts';
import { type Countersigner, openCountersigner } from '../fixtures/countersigner.ts';
import { mcpClient, type OpenedTask, type Site, startSite, WORK } from '../fixtures/gateway.ts';
import { asSuperuser, servers } from '../fixtures/postgres.ts';

/** Whatever changes more than five rows becomes a plan. */
const TASK = WORK.replace(/write: \[.*\]/, 'write: [public.*]').replace('rowsPerStatement: 100', 'rowsPerStatement: 5');
const CONTENT = ['customers', 'reservations', 'payments', 'damage_reports', 'audit_log', 'vehicles']
  .map((table) => `SELECT '${table}' AS t, count(*), md5(string_agg(x::text, '' ORDER BY x::text)) FROM ${table} AS x`)
  .join(' UNION ALL ');
const ADA = asId<ActorId>('ada');

describe.each(servers.slice(0, 1))('G8 the way back of a plan, before $name', ({ binaries }) => {
  let site: Site;
  let task: OpenedTask;
  let mcp: Awaited<ReturnType<typeof mcpClient>>;
  let ada: Countersigner;
  beforeAll(async () => {
    site = await startSite(binaries);
    await site.serve();
    task = await site.openTask(TASK);
    mcp = await mcpClient(task.mcp);
    ada = await openCountersigner(site);
  }, 60_000);
  afterAll(async () => {
    await ada?.close();
    await mcp?.close();
    await site?.remove();
  });

  const content = () => asSuperuser(site.databaseUrl, CONTENT);
  async function countersigned(id: string): Promise<void> {
    await ada.approve(id);
    expect(await ada.apply(id)).toMatchObject({ reply: 'applied', already: false });
  }
  async function change(sql: string): Promise<string> {
    const { outcome, plan } = await mcp.call('execute_sql', { target: 'rental-production', sql });
    expect(outcome).toBe('held');
    const { id } = plan as { id: string };
    await countersigned(id);
    return id;
  }
  const undo = (id: string, keepNewer = false) =>
    ada.countersign.changes.undo({ change: id, askedBy: ADA, channel: 'cli', keepNewer });
  async function undoPlan(id: string, keepNewer = false): Promise<string> {
    const made = await undo(id, keepNewer);
    if ('refused' in made) throw new Error(`${made.refused.message} ${made.refused.detail}`);
    return made.plan.id;
  }
  const undoneBy = async (id: string) => (await ada.countersign.changes.of(id))?.undoneBy;

  it('is a plan of its own: tried, countersigned, applied once, and taken back in turn', async () => {
    const before = await content();
    const id = await change('DELETE FROM customers WHERE id <= 20');
    const after = await content();
    expect(after).not.toEqual(before);
    expect(await site.ask('change', 'list')).toMatchObject({ changes: [{ id, within: 'plan', undoneBy: null }] });

    const ran = await site.run('change', 'undo', id.slice(7, 19), '--as', 'ada', '--json');
    const made = ran.json<{ plan: string; effect: string }>();
    expect(made).toMatchObject({ state: 'held', undoes: id, newer: [] });
    expect(made.effect).toContain('public.customers: 20 inserted');
    expect(await content()).toEqual(after);
    expect(await undoPlan(id)).toBe(made.plan);
    const { stdout } = await site.run('plan', 'show', made.plan);
    expect(stdout).toContain(`undoes    change ${id.slice(7, 19)}: its rows are put back as they were, asked by ada`);
    expect(await ada.apply(made.plan)).toMatchObject({ reply: 'refused', refusal: { refused: 'held' } });

    await countersigned(made.plan);
    expect(await content()).toEqual(before);
    expect(await ada.apply(made.plan)).toMatchObject({ reply: 'applied', already: true });
    expect(await undoneBy(id)).toBe(made.plan);
    expect(await undo(id)).toMatchObject({ refused: { message: expect.stringContaining('has been undone already') } });

    await countersigned(await undoPlan(made.plan));
    expect(await content()).toEqual(after);
    expect(await undoneBy(id)).toBeNull();
    const again = await undoPlan(id);
    expect(again).not.toBe(made.plan);
    await countersigned(again);
    expect(await content()).toEqual(before);
  });

  it('is refused with the rows that somebody has changed since, and leaves them when told to', async () => {
    const id = await change("UPDATE customers SET full_name = 'Nobody' WHERE id BETWEEN 30 AND 60");
    const newer = "UPDATE customers SET full_name = 'Newer' WHERE id = 31; DELETE FROM customers WHERE id = 32";
    await asSuperuser(site.databaseUrl, newer);
    const refused = await site.run('change', 'undo', id, '--as', 'ada', '--json');
    expect(refused.code).toBe(1);
    expect(refused.json()).toMatchObject({ refused: { code: 'CS003' } });
    const rows = ['public.customers id = 31 has been changed since', 'public.customers id = 32 is gone'];
    for (const row of rows) expect(refused.stderr).toContain(row);
    expect(refused.stderr).not.toContain('id = 33');

    const made = await undoPlan(id, true);
    expect(
      await ada.countersign.changes.undo({ change: id, askedBy: ADA, channel: 'cli', keepNewer: true }),
    ).toMatchObject({
      plan: { id: made, plan: { undoes: { newer: rows } } },
    });
    await ada.approve(made);
    // Once more somebody is faster than the apply: what was approved is no longer what would happen.
    await asSuperuser(site.databaseUrl, "UPDATE customers SET full_name = 'Newest' WHERE id = 35");
    expect(await ada.apply(made)).toMatchObject({ reply: 'refused', refusal: { refused: 'stale' } });
    await countersigned(await undoPlan(id, true));
    const named = "SELECT id, full_name FROM customers WHERE full_name IN ('Nobody', 'Newer', 'Newest') ORDER BY id";
    expect(await asSuperuser(site.databaseUrl, named)).toEqual([
      { id: '31', full_name: 'Newer' },
      { id: '35', full_name: 'Newest' },
    ]);
  });

  it('is refused where newer rows refer to one that would go, and takes none of them along', async () => {
    const id = await change(
      "INSERT INTO customers (full_name, email) SELECT 'New', 'new' || i || '@example.org' FROM generate_series(1, 6) AS i",
    );
    await asSuperuser(
      site.databaseUrl,
      `INSERT INTO reservations (customer_id, vehicle_id, starts_on, ends_on)
       SELECT max(c.id), 1, '2031-01-01', '2031-01-02' FROM customers AS c`,
    );
    expect(await undo(id)).toMatchObject({
      refused: { detail: expect.stringMatching(/id = \d+ is referred to by 1 newer rows of public.reservations/) },
    });
    await countersigned(await undoPlan(id, true));
    expect(await asSuperuser(site.databaseUrl, "SELECT email FROM customers WHERE full_name = 'New'")).toHaveLength(1);
  });

  it('of definitions are statements that the plan tells, unless somebody has changed them since', async () => {
    const definitions =
      'SELECT indexdef AS d FROM pg_indexes WHERE tablename = $$vehicles$$ UNION ALL SELECT column_default FROM information_schema.columns WHERE table_name = $$vehicles$$ ORDER BY 1';
    const before = await asSuperuser(site.databaseUrl, definitions);
    const index = await change('CREATE INDEX vehicles_model ON public.vehicles (model)');
    const column = await change('ALTER TABLE public.vehicles ALTER COLUMN retired SET DEFAULT true');
    const { stdout } = await site.run('plan', 'show', column);
    expect(stdout).toContain('way back  ALTER TABLE "public"."vehicles" ALTER COLUMN "retired" SET DEFAULT false');
    await countersigned(await undoPlan(column));
    const undone = await undoPlan(index);
    await countersigned(undone);
    expect(await asSuperuser(site.databaseUrl, definitions)).toEqual(before);
    await countersigned(await undoPlan(undone));
    expect(await asSuperuser(site.databaseUrl, definitions)).not.toEqual(before);
    await asSuperuser(site.databaseUrl, 'DROP INDEX vehicles_model; CREATE INDEX vehicles_model ON vehicles (plate)');
    expect(await undo(index)).toMatchObject({
      refused: { refused: 'stale', detail: expect.stringContaining('vehicles_model') },
    });
  });

  it('can be proposed by the agent, and approved by a person only', async () => {
    const before = await content();
    const id = await change('TRUNCATE customers CASCADE');
    const { changes } = (await mcp.call('list_changes')) as { changes: unknown[] };
    expect(changes[0]).toMatchObject({ change: id, undoneBy: null, statements: ['TRUNCATE customers CASCADE'] });
    const proposed = (await mcp.call('undo_change', { change: id })) as { plan: { id: string } };
    expect(proposed).toMatchObject({ outcome: 'plan', plan: { state: 'held' } });
    expect(await mcp.call('apply_plan', { plan: proposed.plan.id })).toMatchObject({ outcome: 'held' });
    await ada.approve(proposed.plan.id);
    expect(await mcp.call('apply_plan', { plan: proposed.plan.id })).toMatchObject({ outcome: 'applied' });
    expect(await content()).toEqual(before);
    const other = await mcpClient((await site.openTask(TASK)).mcp);
    expect(await other.call('undo_change', { change: id })).toMatchObject({ outcome: 'denied' });
    await other.close();
    expect((await site.run('ledger', 'verify')).code).toBe(0);
  });
});

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ActorId, asId } from '../../src/domain/ids.ts';
import type { PlanRecord } from '../../src/domain/plan.ts';
import { renderPlan } from '../../src/planning/render-plan.ts';
import { getPlan } from '../../src/store/plans.ts';
import { type Countersigner, openCountersigner } from '../fixtures/countersigner.ts';
import { mcpClient, type OpenedTask, type Site, startSite, WORK } from '../fixtures/gateway.ts';
import { asSuperuser, servers } from '../fixtures/postgres.ts';

/** A role and a task that declare every schema there is. */
const TASK = WORK.replaceAll('[public.*]', '["*.*"]').replace(/write: \[.*\]/, 'write: ["*.*"]');
const ADA = asId<ActorId>('ada');

describe.each(servers.slice(0, 1))('G8 what an approved plan drops, before $name', ({ binaries }) => {
  let site: Site;
  let task: OpenedTask;
  let mcp: Awaited<ReturnType<typeof mcpClient>>;
  let ada: Countersigner;
  beforeAll(async () => {
    site = await startSite(binaries);
    site.edit((text) => text.replaceAll('public.*', '"*.*"'));
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

  const sql = (text: string) => mcp.call('execute_sql', { target: 'rental-production', sql: text });
  async function countersigned(id: string): Promise<void> {
    await ada.approve(id);
    const reply = await ada.apply(id);
    expect(reply.reply === 'refused' ? reply.refusal : reply.reply).toBe('applied');
  }
  async function dropped(text: string): Promise<string> {
    const { plan } = (await sql(text)) as { plan: { id: string } };
    await countersigned(plan.id);
    return plan.id;
  }
  async function undoPlan(change: string): Promise<string> {
    const made = await ada.countersign.changes.undo({ change, askedBy: ADA, channel: 'cli', keepNewer: false });
    if (!('refused' in made)) return made.plan.id;
    // On a busy machine it may keep somebody waiting for too long: it says that it can be tried again.
    if (made.refused.refused === 'unavailable') return undoPlan(change);
    throw new Error(`${made.refused.message} ${made.refused.detail}`);
  }
  const shownPlan = async (id: string) =>
    renderPlan(((await getPlan(ada.countersign.store, id)) as PlanRecord).plan).join('\n');
  const count = async (table: string) =>
    Number((await asSuperuser(site.databaseUrl, `SELECT count(*) AS n FROM ${table}`))[0]?.['n']);

  it('is kept, comes back, goes again, and is shown with its time', async () => {
    const rows = await count('reservations');
    const held = (await sql('DROP TABLE public.reservations CASCADE')) as { plan: { id: string; undo: string } };
    expect(held.plan.undo).toContain('kept out of reach for 30 days');
    const shown = await shownPlan(held.plan.id);
    expect(shown).toMatch(
      /way back {2}soft drop: kept in quarantine for 30 days from when it is applied, [\d,]+ bytes/,
    );
    expect(shown).toContain('undo: takes less than a second');
    await countersigned(held.plan.id);
    const change = held.plan.id;
    // Its name is free, and nobody who depended on it fails.
    await asSuperuser(
      site.databaseUrl,
      'CREATE TABLE reservations (); DROP TABLE reservations; UPDATE customers SET full_name = full_name',
    );
    const { stdout } = await site.run('change', 'list');
    expect(stdout).toMatch(/in quarantine until .* bytes/);

    const undo = await undoPlan(change);
    expect(await count('customers')).toBeGreaterThan(0);
    await countersigned(undo);
    expect(await count('reservations')).toBe(rows);
    expect(await ada.countersign.changes.of(change)).toMatchObject({ undoneBy: undo });
    const again = await undoPlan(undo);
    await countersigned(again);
    await expect(count('reservations')).rejects.toThrow('does not exist');
    await countersigned(await undoPlan(again));
    expect(await count('reservations')).toBe(rows);
  });

  it('is purged only by a plan of its own, after its time or early on purpose', async () => {
    const change = await dropped('DROP TABLE public.damage_reports');
    const purge = (early: boolean) => ada.countersign.changes.purge({ change, askedBy: ADA, early });
    expect(await purge(false)).toMatchObject({ refused: { message: expect.stringContaining('its purge is not due') } });
    const made = await purge(true);
    if ('refused' in made) throw new Error(made.refused.message);
    const shown = await shownPlan(made.plan.id);
    expect(shown).toContain('dropped quarantined table public.damage_reports');
    expect(shown).toMatch(/it was to be kept until .*: that is 30 days from now/);
    expect(shown).toContain('way back  NONE');
    expect(made.plan.plan.undo.undo).toBe('irreversible');
    await countersigned(made.plan.id);
    expect(await ada.countersign.changes.of(change)).toMatchObject({ kept: null, undo: { undo: 'irreversible' } });
    const refused = await ada.countersign.changes.undo({ change, askedBy: ADA, channel: 'cli', keepNewer: false });
    expect(refused).toMatchObject({ refused: { message: expect.stringContaining('is in quarantine no more') } });
    const left = await asSuperuser(
      site.databaseUrl,
      "SELECT FROM pg_namespace WHERE nspname ~ '^countersign_quarantine'",
    );
    expect(left).toEqual([]);
  });

  it('is out of the reach of every task', async () => {
    // The task has a login that may read and write it.
    expect(await sql('SELECT count(*) FROM public.audit_log')).toMatchObject({ outcome: expect.any(String) });
    await asSuperuser(site.databaseUrl, 'ANALYZE public.audit_log');
    const change = await dropped('DROP TABLE public.audit_log');
    const [place] = await asSuperuser<{ name: string }>(
      site.databaseUrl,
      "SELECT nspname || '.audit_log' AS name FROM pg_namespace WHERE nspname ~ '^countersign_quarantine'",
    );
    const name = place?.name ?? '';
    const schema = name.replace('.audit_log', '');
    const attempts = [
      `SELECT * FROM ${name}`,
      `INSERT INTO ${name} SELECT * FROM ${name}`,
      `DELETE FROM ${name}`,
      `DROP TABLE ${name}`,
      `ALTER TABLE ${name} SET SCHEMA public`,
      `CREATE TABLE ${schema}.mine (a int)`,
      `CREATE VIEW public.peek AS SELECT * FROM ${name}`,
      `GRANT USAGE ON SCHEMA ${schema} TO PUBLIC`,
      `DROP SCHEMA ${schema} CASCADE`,
      `CREATE SCHEMA countersign_quarantine_99`,
      `ALTER SCHEMA public RENAME TO countersign_quarantine_99`,
      `ALTER TABLE public.customers SET SCHEMA ${schema}`,
      `UPDATE countersign.quarantined SET until = now()`,
      `LOCK TABLE ${name}`,
      `COMMENT ON TABLE ${name} IS 'mine'`,
      `TRUNCATE ${name}`,
      `CALL countersign.purge('${change}')`,
      `SELECT nextval('${schema}.audit_log_id_seq')`,
      `SELECT back FROM countersign.quarantined`,
    ];
    for (const attempt of attempts) {
      const { outcome } = await sql(attempt);
      expect([attempt, outcome]).toEqual([attempt, expect.stringMatching(/denied|failed/)]);
    }
    // Where only a text names it, nobody but a person can let it through.
    expect(await sql(`SELECT table_to_xml('${name}', true, true, '')`)).toMatchObject({ outcome: 'held' });
    // The second lock, by itself: even by its oid nothing of it can be had.
    const held = await asSuperuser(
      site.databaseUrl,
      `SELECT c.relname, r.rolname FROM pg_class AS c, pg_roles AS r
       WHERE c.relnamespace = '${schema}'::regnamespace AND r.rolname ~ '^cs_' AND (c.relkind IN ('r', 'v') AND has_table_privilege(r.oid, c.oid, 'SELECT') OR c.relkind = 'S' AND has_sequence_privilege(r.oid, c.oid, 'USAGE')
         OR has_schema_privilege(r.oid, c.relnamespace, 'USAGE'))`,
    );
    expect(held).toEqual([]);
    const stats = await sql(`SELECT * FROM pg_stats WHERE schemaname = '${schema}'`);
    expect(JSON.stringify(stats)).not.toContain('audit_log');
    const found = await mcp.call('search_objects', { target: 'rental-production', pattern: '%audit%' });
    expect(JSON.stringify(found)).not.toContain('countersign_quarantine');
    await countersigned(await undoPlan(change));
  });
});

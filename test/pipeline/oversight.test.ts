import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Json } from '../../src/domain/digest.ts';
import type { Entry } from '../../src/domain/entry.ts';
import { asId, type Digest, instantOf, type PlanId } from '../../src/domain/ids.ts';
import type { Plan } from '../../src/domain/plan.ts';
import { type Activity, createActivity } from '../../src/pipeline/oversight/activity.ts';
import { exportActivity } from '../../src/pipeline/oversight/export-activity.ts';
import { createPlanQueue } from '../../src/pipeline/oversight/plan-queue.ts';
import { insertPlan, transition } from '../../src/store/plans.ts';
import { statements } from '../../src/store/schema.ts';
import { type TestLedger, testLedger } from '../fixtures/ledger.ts';
import { dialects, type StatePlace } from '../fixtures/state.ts';

/** What people are shown of the state, whatever store is beneath it. */
describe.each(dialects)('on $name', (dialect) => {
  let place: StatePlace;
  let made: TestLedger;
  let activity: Activity;
  const failures: unknown[] = [];
  const PLAN = `sha256:${'a'.repeat(64)}`;
  beforeAll(async () => {
    place = await dialect.start();
    made = await testLedger(await place.make());
    activity = createActivity({ store: made.store, onFailure: (error) => failures.push(error) });
    const written = (n: number) => ({
      task: 'task_1',
      actor: 'migrator',
      target: 'shop',
      measured: [counted(`public.t${n % 3}`)],
    });
    await made.ledger.record({
      entries: [
        entry(0, 'task opened', 'task_1', { agent: 'migrator', openedBy: 'ada', radius: [{ target: 'shop' }] }),
        entry(1, 'plan', PLAN, {
          plan: PLAN,
          ...written(0),
          decision: 'hold',
          measured: { tables: [counted('public.orders')] },
        }),
        entry(2, 'denied', 'task_1', { task: 'task_1', actor: 'migrator', target: 'shop', decision: 'denied' }),
        entry(3, 'approval', PLAN, { plan: PLAN, person: 'ada', reason: 'Gesehen: 100%_sicher' }),
        entry(4, 'outcome', PLAN, { plan: PLAN, outcome: 'applied' }),
        ...Array.from({ length: 1200 }, (_, n) =>
          entry(5 + n, 'intent', `int_${n}`, { ...written(n), decision: 'allow' }),
        ),
      ],
    });
  });
  afterAll(async () => {
    await activity?.close();
    await made?.remove();
    await place?.remove();
    expect(failures).toEqual([]);
  });

  async function all(filter: Omit<Parameters<Activity['page']>[0], 'limit'>) {
    const found: string[] = [];
    let before: number | null | undefined;
    for (let pages = 0; before !== null; pages++) {
      const page = await activity.page({ ...filter, limit: 100, ...(before === undefined ? {} : { before }) });
      found.push(...page.entries.map(({ kind, subject }) => `${kind} ${subject}`));
      before = page.next;
      expect(pages).toBeLessThan(50);
    }
    return found;
  }

  it('finds entries by what they are about, also where only an earlier one says it', async () => {
    await filed();
    expect(await all({ table: 'public.orders' })).toEqual([`outcome ${PLAN}`, `approval ${PLAN}`, `plan ${PLAN}`]);
    expect(await all({ actor: 'ada' })).toEqual([`approval ${PLAN}`]);
    expect(await all({ decision: 'deny', target: 'shop' })).toEqual(['denied task_1']);
    expect(await all({ task: 'task_1', decision: 'approve' })).toEqual([`approval ${PLAN}`]);
    expect(await all({ table: 'public.t1', kind: 'intent' })).toHaveLength(400);
    expect(await all({ task: 'task_1' })).toHaveLength(1205);
    expect(await all({})).toHaveLength(1206);
  });

  it('finds a text letter for letter, and moments of time', async () => {
    expect(await all({ text: '100%_sicher' })).toEqual([`approval ${PLAN}`]);
    expect(await all({ text: '100x_sicher' })).toEqual([]);
    expect(await all({ from: at(4), until: at(5) })).toEqual(['intent int_0', `outcome ${PLAN}`]);
    expect(await all({ until: at(-1) })).toHaveLength(1);
  });

  it('writes what filters find into a file, which says whether something is missing of it', async () => {
    await filed();
    const lines = async (filter: Parameters<typeof exportActivity>[1]) => {
      const text = await written(exportActivity(activity, filter, { format: 'jsonl', at: at(0) }));
      expect(text.endsWith('\n')).toBe(true);
      return text
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line));
    };
    const all = await lines({ task: 'task_1' });
    expect(all[0]).toEqual({ countersign: 'activity/v1', at: at(0), filter: { task: 'task_1' }, size: 1206 });
    expect(all.slice(1, -1).map(({ index }) => index)).toEqual(Array.from({ length: 1205 }, (_, n) => 1205 - n));
    expect(all.at(-1)).toEqual({ end: { entries: 1205, complete: true, next: null, unfiled: 0 } });
    expect((await lines({ table: 'public.orders' })).slice(1, -1)).toMatchObject([
      { kind: 'outcome', decision: 'applied', plan: PLAN },
      { kind: 'approval', body: { reason: 'Gesehen: 100%_sicher' } },
      { kind: 'plan', actor: 'migrator' },
    ]);
    const first = await lines({ task: 'task_1', limit: 700 });
    expect(first.at(-1)).toEqual({ end: { entries: 700, complete: false, next: 506, unfiled: 0 } });
    expect(first).toHaveLength(702);
    expect(await lines({ task: 'task_1', before: 506 })).toHaveLength(507);
    expect((await lines({ actor: 'nobody' })).at(-1)).toMatchObject({ end: { entries: 0, complete: true } });
  });

  it('writes a table that runs nothing where it is opened', async () => {
    const evil = {
      task: 'task_3',
      actor: 'migrator',
      purpose: '=HYPERLINK("http://evil.example";"x")',
      statements: [{ shape: 'SELECT "a", $1' }, { shape: '+1' }],
    };
    await made.ledger.record({
      entries: [
        entry(1500, 'task opened', 'task_3', evil),
        entry(1501, 'denied', 'task_3', { ...evil, purpose: 'a\r\n@b\u202e\u001b[2J' }),
        entry(1502, 'denied', 'task_3', { ...evil, purpose: ' -1', statements: [] }),
      ],
    });
    await filed();
    const ask = { format: 'csv', at: at(0) } as const;
    const text = await written(exportActivity(activity, { task: 'task_3' }, ask));
    const cells = (reason: string, shapes: string) => `task_3,,task_3,${reason},${shapes}`;
    expect(text.split('\r\n').map((row) => row.replace(/^.*?(?=task_3)/, ''))).toEqual([
      'entry,at,kind,decision,actor,on_behalf_of,target,tables,task,plan,subject,reason,statements',
      cells(`' -1`, ''),
      cells('a\\u000d\\u000a@b\\u202e\\u001b[2J', '"SELECT ""a"", $1; +1"'),
      cells(`"'=HYPERLINK(""http://evil.example"";""x"")"`, '"SELECT ""a"", $1; +1"'),
      '',
    ]);
    const cut = await written(exportActivity(activity, { task: 'task_3', limit: 1 }, ask));
    expect(cut.trimEnd().split('\r\n').at(-1)).toMatch(
      /^INCOMPLETE,,more entries lie before \d+: go on with before=\d+,+$/,
    );
  });

  it('files every entry once, however many gateways file at the same time', async () => {
    const other = await made.another();
    const second = createActivity({ store: other.store, onFailure: (error) => failures.push(error) });
    await made.ledger.record({
      entries: Array.from({ length: 900 }, (_, n) =>
        entry(2000 + n, 'reads', 'task_2', { task: 'task_2', target: 'shop' }),
      ),
    });
    const ask = (of: Activity) => of.page({ task: 'task_2', limit: 1 });
    await Promise.all([ask(activity), ask(second), ask(activity), ask(second)]);
    await filed();
    expect(await all({ task: 'task_2' })).toHaveLength(900);
    await second.close();
    await other.close();
  });

  it('puts what waits in the order of risk and then of age, and counts what meets on a table', async () => {
    const queue = createPlanQueue({ store: made.store, now: () => Date.parse(at(0)) });
    await made.ledger.record({
      entries: [entry(3000, 'policy', 'x', {})],
      writes: [
        waits('c', 10, ['public.orders'], 5),
        waits('d', 20, ['public.orders'], 5),
        waits('e', 30, ['public.customers'], 200_000),
        waits('f', 40, ['public.vehicles'], 5),
        transition(id('f'), 'held', 'rejected', { note: 'no', at: instantOf(50) }),
      ],
    });
    const page = await queue.open({ limit: 2 });
    expect(page.plans.map((plan) => [plan.id[7], plan.risk.level, plan.conflicts])).toEqual([
      ['e', 'high', 0],
      ['c', 'moderate', 1],
    ]);
    expect(page.total).toBe(3);
    const rest = await queue.open({ limit: 2, cursor: page.next ?? '' });
    expect(rest.plans.map((plan) => plan.id[7])).toEqual(['d']);
    expect(rest.next).toBeNull();
    expect((await queue.open({ limit: 9, text: 'CUSTOMERS' })).plans.map((plan) => plan.id[7])).toEqual(['e']);
    expect((await queue.ended({ limit: 9 })).plans.map((plan) => [plan.id[7], plan.note])).toEqual([['f', 'no']]);
  });

  it('shows what is over as waiting no more, before anybody has written that down', async () => {
    const later = createPlanQueue({ store: made.store, now: () => Date.parse('2030-01-01T00:00:00Z') });
    expect(await later.open({ limit: 9 })).toMatchObject({ plans: [], total: 0 });
  });

  async function written(pieces: AsyncIterable<string>): Promise<string> {
    let text = '';
    for await (const piece of pieces) text += piece;
    return text;
  }

  async function filed(): Promise<void> {
    let page = await activity.page({ task: 'nothing', limit: 1 });
    while (page.filed < page.size) page = await activity.page({ task: 'nothing', limit: 1 });
    const rows = await made.store.all(statements.selectFrom('activity_head').selectAll());
    expect(Number(rows[0]?.size)).toBe(page.size);
  }
});

function at(second: number): string {
  return new Date(Date.parse('2026-03-01T00:00:00Z') + second * 1000).toISOString();
}

function entry(second: number, kind: Entry['kind'], subject: string, body: Json): Entry {
  return { v: 1, kind, at: instantOf(Date.parse(at(second))), subject, body };
}

function counted(table: string) {
  return { table, inserted: 0, updated: 0, deleted: 5, truncated: 0, via: 'direct' };
}

function id(letter: string): PlanId {
  return asId<PlanId>(`sha256:${letter.repeat(64)}`);
}

function waits(letter: string, createdSecond: number, tables: readonly string[], rows: number) {
  const createdAt = instantOf(Date.parse(at(createdSecond)));
  const plan = {
    actor: 'migrator',
    onBehalfOf: 'grace',
    purpose: 'to tidy up',
    task: 'task_1',
    target: 'shop',
    environment: 'production',
    tier: 'production',
    statements: [{ text: 'DELETE …', parameters: [] }],
    effects: [],
    measurement: {
      measured: true,
      effect: { tables: tables.map((table) => ({ ...counted(table), deleted: rows })), objects: [], samples: [] },
    },
    undo: { undo: 'row images', rows },
    held: { policies: [], missing: [{ obligation: 'approvals', count: 1 }] },
    createdAt,
    expiresAt: instantOf(Date.parse('2027-01-01T00:00:00Z')),
  } as unknown as Plan;
  return insertPlan({ id: id(letter), plan, wish: asId<Digest>(`sha256:${letter}`), state: 'held', at: createdAt });
}

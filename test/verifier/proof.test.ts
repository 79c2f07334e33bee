import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { digestOf, type Json } from '../../src/domain/digest.ts';
import type { Statement } from '../../src/domain/intent.ts';
import { type OpenedTask, type Site, startSite, WORK } from '../fixtures/gateway.ts';
import { asSuperuser, servers } from '../fixtures/postgres.ts';
import { hasPython, python, verifyAsStranger } from '../fixtures/verifier.ts';
import { type StartedWitness, startWitness } from '../fixtures/witness.ts';

const REMOVED = 'DELETE FROM customers WHERE id BETWEEN 11 AND 13';
const FLIP = new URL('./flip.py', import.meta.url).pathname;

interface Shown {
  readonly index: number;
  readonly body: { readonly statements: Record<string, unknown>[] };
}

describe.skipIf(!hasPython).each(servers.slice(0, 1))('G7 the proof of one action, before $name', ({ binaries }) => {
  let site: Site;
  let task: OpenedTask;
  let trust: string;
  let kept: string;
  let plan: string;
  let write: string;
  let witness: StartedWitness;
  let metrics: () => Promise<string>;
  const at = (name: string) => join(site.directory, name);
  const verify = (name: string, ...more: string[]) => verifyAsStranger(at(name), trust, ...more);

  beforeAll(async () => {
    site = await startSite(binaries);
    const { log } = await site.ask<{ log: string }>('ledger', 'trust');
    witness = await startWitness(['--log', log, '--directory', at('witness')]);
    const known = `{ url: "${witness.url}", key: "${witness.verifierKey}" }`;
    site.edit((text) => `${text}\nwitnesses: { every: 1s, known: [${known}] }\n`);
    const gateway = await site.serve();
    metrics = async () => (await fetch(`${gateway.http}/metrics`)).text();
    task = await site.openTask(WORK);
    kept = at('kept.checkpoint');
    writeFileSync(kept, (await site.ask<{ checkpoint: string }>('ledger', 'checkpoint')).checkpoint);
    const client = new pg.Client({ connectionString: task.postgres });
    await client.connect();
    await client.query('SELECT count(*) FROM customers');
    await client.query("UPDATE customers SET full_name = 'Grace “Amazing” Hopper' WHERE id = $1", [1]);
    await expect(client.query(REMOVED)).rejects.toMatchObject({
      code: 'CS001',
    });
    const { plans } = await site.ask<{ plans: { id: string }[] }>('plan', 'list');
    plan = plans[0]?.id ?? '';
    await site.ask('plan', 'approve', plan, '--as', 'ada');
    await site.ask('plan', 'apply', plan, '--as', 'ada');
    const undo = await site.ask<{ plan: string }>('change', 'undo', plan, '--as', 'ada');
    await site.ask('plan', 'approve', undo.plan, '--as', 'ada');
    await site.ask('plan', 'apply', undo.plan, '--as', 'ada');
    await client.end();
    const all = 'countersign_ledger_unwitnessed_entries 0';
    await vi.waitFor(async () => expect(await metrics()).toContain(all), { timeout: 30_000, interval: 300 });
    await gateway.stop();
    const { entries } = await site.ask<{ entries: { subject: string; kind: string }[] }>('ledger', 'show');
    write = entries.find(({ kind, subject }) => kind === 'intent' && subject.startsWith('intent_'))?.subject ?? '';
    trust = at('trust.json');
    writeFileSync(trust, JSON.stringify(await site.ask('ledger', 'trust')));
    expect(await asSuperuser(site.databaseUrl, 'SELECT 1 FROM customers WHERE id IN (11, 12, 13)')).toHaveLength(3);
  }, 180_000);
  afterAll(async () => {
    await witness?.stop();
    await site?.remove();
  });

  it('shows an approved plan from the task to its outcome, to somebody who kept a checkpoint', async () => {
    await site.ask('ledger', 'export', plan, at('plan.jsonl'), '--since', kept);
    expect(await verify('plan.jsonl', '--kept', kept)).toMatchObject({
      verdict: 'sound',
      entries: 6,
      approvals: 1,
      applied: 1,
      open: 0,
    });
    const [, envelope = ''] = readFileSync(at('plan.jsonl'), 'utf8').split('\n');
    const statement = JSON.parse(Buffer.from(JSON.parse(envelope).payload, 'base64').toString('utf8'));
    expect(statement).toMatchObject({
      _type: 'https://in-toto.io/Statement/v1',
      predicateType: 'https://countersign.dev/action/v1',
      predicate: {
        task: { id: task.task, purpose: 'clean up old test customers', radius: [{ target: 'rental-production' }] },
        actions: [
          {
            kind: 'plan',
            actor: 'migrator',
            owner: 'ada',
            environment: 'production',
            identity: expect.stringMatching(/^sha256:/),
            input: [{ command: 'DELETE', commitment: expect.stringMatching(/^sha256:/) }],
            decision: { decision: 'hold', policies: expect.any(Array), policyDigest: expect.any(String) },
            undo: { undo: 'row images' },
            approvals: [{ person: 'ada', verdict: 'approval' }],
            effect: { xid: expect.any(String), effect: expect.stringMatching(/^sha256:/) },
            outcome: {
              outcome: 'applied',
              tables: expect.arrayContaining([expect.objectContaining({ table: 'public.customers', deleted: 3 })]),
            },
          },
        ],
      },
    });
  });

  it('shows a write that nobody had to approve, and all of a task', async () => {
    await site.ask('ledger', 'export', write, at('write.jsonl'));
    expect(await verify('write.jsonl')).toMatchObject({ verdict: 'sound', entries: 3, applied: 1, approvals: 0 });
    await site.ask('ledger', 'export', task.task, at('task.jsonl'));
    expect(await verify('task.jsonl')).toMatchObject({ verdict: 'sound', applied: 3, approvals: 2 });
    expect(await verify('write.jsonl', '--kept', kept)).toMatchObject({
      code: 1,
      problem: expect.stringContaining('does not show that it grew out of the kept checkpoint'),
    });
  });

  it('shows the whole ledger, by a second program', async () => {
    await site.ask('ledger', 'export', at('all.jsonl'));
    const ours = await site.run('ledger', 'verify', at('all.jsonl'), '--json');
    expect(await verify('all.jsonl', '--kept', kept)).toMatchObject({
      verdict: 'sound',
      entries: ours.json()['entries'],
      applied: 3,
      witnessed: ours.json()['entries'],
    });
  });

  it('can demand more witnesses than there are', async () => {
    const policy = JSON.parse(readFileSync(trust, 'utf8'));
    expect(policy.witnesses).toEqual({ keys: [witness.verifierKey], quorum: 1, unwitnessed: 0 });
    writeFileSync(at('two.json'), JSON.stringify({ ...policy, witnesses: { ...policy.witnesses, quorum: 2 } }));
    expect(await verifyAsStranger(at('plan.jsonl'), at('two.json'))).toMatchObject({
      code: 1,
      problem: expect.stringContaining('no 2 witnesses have cosigned'),
    });
  });

  it('is unsound with any bit flipped, and wherever it is cut off', async () => {
    // Every 37th byte here; flips.test.ts takes each.
    const flipped = await python<Record<string, unknown>>(FLIP, at('plan.jsonl'), trust, '37');
    expect(flipped).toMatchObject({ unflipped: 'sound', sound: [], crashed: [] });
    expect(flipped['flips']).toBe(Math.ceil(readFileSync(at('plan.jsonl')).length / 37) * 8);
  });

  it('lets the doctor tell that its newest entries are witnessed', async () => {
    const { findings } = (await site.run('doctor', '--json')).json<{ findings: { id: string; verdict: string }[] }>();
    expect(findings.find(({ id }) => id === 'ledger.witnessed')).toMatchObject({ verdict: 'ok' });
  });

  it('stops what comes when witnesses have been silent for too long, and goes on when they sign', async () => {
    site.edit((text) => text.replace('every: 1s', 'every: 1s, stopAfter: 2s'));
    const gateway = await site.serve();
    const asks = async () => {
      const client = new pg.Client({ connectionString: task.postgres.replace(/@[^/]*/, `@${gateway.pg}`) });
      client.on('error', () => undefined);
      try {
        await client.connect();
        return (await client.query("UPDATE customers SET full_name = 'Grace' WHERE id = 1")).rowCount;
      } catch (error) {
        return error instanceof pg.DatabaseError ? `${error.code} ${error.message}` : String(error);
      } finally {
        await client.end();
      }
    };
    expect(await asks()).toBe(1);
    await witness.stop();
    await vi.waitFor(async () => expect(await asks()).toMatch(/^CS007 .*for 1 of 1 witnesses/), {
      timeout: 30_000,
      interval: 300,
    });
    expect((await fetch(`${gateway.http}/readyz`)).status).toBe(503);
    expect((await site.run('change', 'undo', write, '--as', 'ada')).stderr).toMatch(/for 1 of 1 witnesses/);
    const { log } = await site.ask<{ log: string }>('ledger', 'trust');
    witness = await startWitness(['--log', log, '--directory', at('witness'), '--listen', new URL(witness.url).host]);
    await vi.waitFor(async () => expect(await asks()).toBe(1), { timeout: 30_000, interval: 300 });
    await gateway.stop();
    site.edit((text) => text.replace(', stopAfter: 2s', ''));
  });

  it('stays sound for whoever trusts its first key, once it was handed to another', async () => {
    const { from, old } = await site.ask<{ from: number; old: string }>('ledger', 'rotate-key');
    expect(existsSync(old)).toBe(true);
    expect((await site.run('halt', '--reason', 'with the new key')).code).toBe(0);
    await site.ask('ledger', 'export', plan, at('rotated.jsonl'), '--since', kept);
    // Nobody has witnessed the new key's checkpoints yet.
    const policy = JSON.parse(readFileSync(trust, 'utf8'));
    writeFileSync(at('alone.json'), JSON.stringify({ ...policy, witnesses: { keys: [], quorum: 0 } }));
    const found = await verifyAsStranger(at('rotated.jsonl'), at('alone.json'), '--kept', kept);
    expect(found).toMatchObject({ verdict: 'sound', entries: 7, applied: 1, size: from + 1 });
    expect((await site.run('ledger', 'verify')).code).toBe(0);
  });

  it('discloses what was asked to whom it is given, and stays sound when that was erased', async () => {
    interface Disclosed {
      readonly disclosures: { entry: number; path: string; salt: string | null; statement: Statement | null }[];
    }
    const disclosed = async () => (await site.ask<Disclosed>('ledger', 'disclose', plan)).disclosures[0];
    const { entry, path, salt, statement } = (await disclosed()) ?? {};
    expect(statement?.text).toBe(REMOVED);
    const shown = await site.ask<{ entries: Shown[] }>('ledger', 'show', '--subject', plan);
    const told = shown.entries.find(({ index }) => index === entry)?.body.statements[0];
    expect(path).toBe('/body/statements/0');
    expect(told).toEqual({ ...told, commitment: digestOf({ salt, text: REMOVED, parameters: [] } as Json) });
    expect(told).not.toHaveProperty('salt');

    await site.ask('ledger', 'erase', plan, '--as', 'ada', '--reason', 'asked for by the customer');
    expect(await disclosed()).toMatchObject({ salt: null, statement: null });
    const files = readdirSync(at('state')).map((name) => readFileSync(join(at('state'), name)));
    for (const gone of [salt ?? '', REMOVED])
      expect(
        files.some((bytes) => bytes.includes(gone)),
        gone,
      ).toBe(false);
    await site.ask('ledger', 'export', plan, at('erased.jsonl'));
    expect(await verifyAsStranger(at('erased.jsonl'), at('alone.json'))).toMatchObject({
      verdict: 'sound',
      applied: 1,
    });
    expect((await site.run('ledger', 'verify')).code).toBe(0);
    expect((await site.run('plan', 'show', plan)).code).toBe(0);
  });

  it('says what it can’t read', async () => {
    expect(await verify('nothing.jsonl')).toMatchObject({ code: 2, verdict: 'unreadable' });
    writeFileSync(at('empty.jsonl'), '');
    expect(await verify('empty.jsonl')).toMatchObject({ code: 2 });
    expect(await verifyAsStranger(at('plan.jsonl'), kept)).toMatchObject({ code: 2, verdict: 'unreadable' });
    const none = await site.run('ledger', 'export', 'task_gone', at('none.jsonl'));
    expect(none).toMatchObject({ code: 2, stderr: expect.stringContaining('nothing about task_gone') });
  });
});

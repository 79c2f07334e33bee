import { readFileSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadConfig } from '../../src/config/load.ts';
import { lastRedTeamRun, redTeamFact } from '../../src/ledger/red-team-runs.ts';
import { createLog } from '../../src/observing/log.ts';
import { runOf } from '../../src/redteam/history.ts';
import type { Report } from '../../src/redteam/score.ts';
import { withPolicies } from '../../src/server/load-governance.ts';
import { openCountersign } from '../../src/server/open-countersign.ts';
import { type OpenedTask, type Served, type Site, startSite, WORK } from '../fixtures/gateway.ts';
import { servers } from '../fixtures/postgres.ts';
import { type PostgresPlace, startPostgresPlace } from '../fixtures/state.ts';
import { openStateFile } from '../fixtures/state-file.ts';

interface Answer {
  readonly status: number;
  readonly body: string;
}

function get(url: string, headers: Readonly<Record<string, string>> = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    request(url, { headers }, (response) => {
      let body = '';
      response.on('data', (chunk: Buffer) => {
        body += chunk.toString();
      });
      response.once('end', () => resolve({ status: response.statusCode ?? 0, body }));
    })
      .once('error', reject)
      .end();
  });
}

async function readiness(gateway: Served): Promise<{ status: number; ready: boolean; reasons: string[] }> {
  const { status, body } = await get(`${gateway.http}/readyz`);
  return { status, ...JSON.parse(body) };
}

/** Asks until the answer is as it should be: an answer is kept for a second. */
async function until(gateway: Served, status: number): Promise<{ status: number; reasons: string[] }> {
  for (let tries = 0; tries < 60; tries++) {
    const answer = await readiness(gateway);
    if (answer.status === status) return answer;
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
  throw new Error(`/readyz never answered ${status}`);
}

async function eventually(holds: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 60; tries++) {
    if (await holds()) return;
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
  throw new Error('it never came to that');
}

/** The value of one series, 0 where it isn't there. */
function figure(page: string, name: string, labels: Readonly<Record<string, string>> = {}): number {
  const line = page
    .split('\n')
    .find(
      (candidate) =>
        (candidate.startsWith(`${name}{`) || candidate.startsWith(`${name} `)) &&
        Object.entries(labels).every(([label, value]) => candidate.includes(`${label}="${value}"`)),
    );
  return line === undefined ? 0 : Number(line.slice(line.lastIndexOf(' ') + 1));
}

const [server] = servers;

describe.runIf(server !== undefined)('what an operator sees of a gateway', () => {
  let site: Site;
  let gateway: Served;
  let task: OpenedTask;

  beforeAll(async () => {
    if (server === undefined) return;
    site = await startSite(server.binaries);
    gateway = await site.serve();
    task = await site.openTask(WORK);
  }, 60_000);
  afterAll(() => site?.remove());

  it('says that it lives, and that it is ready', async () => {
    expect(await get(`${gateway.http}/healthz`)).toMatchObject({ status: 200 });
    expect(await readiness(gateway)).toEqual({ status: 200, ready: true, reasons: [] });
  });

  it('counts what became of statements, by target, channel and class, and never by text', async () => {
    const client = new pg.Client({ connectionString: task.postgres });
    await client.connect();
    for (let n = 0; n < 5; n++)
      await client.query(`SELECT full_name FROM public.customers WHERE id = ${n} -- marker-4711`);
    await client.query('SELECT full_name FROM public.customers WHERE id = $1', [1]);
    await client.query('SELECT full_name FROM public.customers WHERE id = $1', [2]);
    await client.query("UPDATE public.customers SET full_name = 'marker-4711' WHERE id = 3");
    await expect(client.query('DELETE FROM public.customers')).rejects.toMatchObject({ code: 'CS001' });
    await expect(client.query('CREATE ROLE marker_4711')).rejects.toMatchObject({ code: 'CS002' });
    const { body: page } = await get(`${gateway.http}/metrics`);
    const of = (verdict: string, kind: string) =>
      figure(page, 'countersign_statements_total', {
        channel: 'pgwire',
        target: 'rental-production',
        verdict,
        class: kind,
      });
    expect(of('allow', 'read')).toBe(7);
    expect(of('allow', 'write')).toBe(1);
    expect(of('hold', 'write')).toBe(1);
    expect(of('deny', 'change')).toBe(1);
    expect(figure(page, 'countersign_judgements_total', { remembered: 'yes' })).toBeGreaterThan(0);
    expect(figure(page, 'countersign_analysis_duration_seconds_count')).toBeGreaterThan(5);
    expect(figure(page, 'countersign_decision_duration_seconds_count')).toBeGreaterThan(1);
    expect(figure(page, 'countersign_dry_run_duration_seconds_count', { outcome: 'measured' })).toBe(1);
    expect(figure(page, 'countersign_captured_rows_total', { by: 'dry run' })).toBeGreaterThan(10);
    expect(figure(page, 'countersign_sessions', { channel: 'pgwire' })).toBe(1);
    expect(figure(page, 'db_client_connection_count')).toBe(2);
    expect(figure(page, 'countersign_plans', { state: 'held' })).toBe(1);
    expect(figure(page, 'countersign_oldest_waiting_plan_seconds')).toBeGreaterThan(0);
    expect(figure(page, 'countersign_gateways')).toBe(1);
    expect(figure(page, 'countersign_ledger_entries_total')).toBeGreaterThan(2);
    expect(figure(page, 'countersign_ledger_commit_duration_seconds_count')).toBeGreaterThan(1);
    expect(figure(page, 'countersign_ready', { part: 'target rental-production' })).toBe(1);
    expect(page).toContain('nodejs_eventloop_lag_p99_seconds');
    expect(page).not.toContain('4711');
    expect(page).not.toContain(task.task);
    await client.end();
    const { body: after } = await get(`${gateway.http}/metrics`);
    expect(figure(after, 'countersign_sessions', { channel: 'pgwire' })).toBe(0);
  });

  it('has every figure that its documentation names', async () => {
    const { body: page } = await get(`${gateway.http}/metrics`);
    const documented = readFileSync(new URL('../../docs/observe.md', import.meta.url), 'utf8');
    const names = new Set(documented.match(/\b(countersign|db)_[a-z_]+[a-z]\b/g));
    expect(names.size).toBeGreaterThan(15);
    for (const name of names) {
      expect(page, name).toMatch(new RegExp(`^# TYPE ${name.replace(/_(bucket|sum|count)$/, '(_count)?')} `, 'm'));
    }
  });

  it('tells of the red team’s last run, and of what is worse than in the run before', async () => {
    const command = await openCountersign(await withPolicies(await loadConfig(site.config)), createLog('error'));
    const ran = async (startedAt: string, through: readonly string[]) => {
      const report = {
        target: 'rental-production',
        startedAt,
        attacks: ['a/1', 'a/2'].map((id) => ({ id, channels: { mcp: { harmed: through.includes(id) } } })),
        benign: [],
      } as unknown as Report;
      const run = runOf(report, await lastRedTeamRun(command.ledger, report.target));
      await command.proof.record(redTeamFact(run));
      const { body: page } = await get(`${gateway.http}/metrics`);
      return ['through', 'refused', 'worse'].map((name) =>
        figure(page, `countersign_redteam_${name}`, { target: 'rental-production' }),
      );
    };
    try {
      expect(await ran('2026-01-01T00:00:00.000Z', ['a/1'])).toEqual([1, 0, 0]);
      expect(await ran('2026-01-02T00:00:00.000Z', ['a/1', 'a/2'])).toEqual([2, 0, 1]);
      expect(await ran('2026-01-03T00:00:00.000Z', ['a/2'])).toEqual([1, 0, 0]);
    } finally {
      await command.close();
    }
    const { entries } = await site.ask<{ entries: { body: object }[] }>('ledger', 'show', '--kind', 'red team');
    expect(entries[1]?.body).toMatchObject({ worse: { since: '2026-01-01T00:00:00.000Z', through: ['a/2'] } });
  });

  it('counts halts in force, and what they stop', async () => {
    const client = new pg.Client({ connectionString: task.postgres });
    await client.connect();
    await site.ask('halt', '--reason', 'looking into it');
    await expect(client.query('SELECT 1')).rejects.toMatchObject({ code: 'CS004' });
    const { body: page } = await get(`${gateway.http}/metrics`);
    expect(figure(page, 'countersign_halts', { scope: 'global' })).toBe(1);
    expect(figure(page, 'countersign_statements_total', { verdict: 'stopped' })).toBe(1);
    await site.ask('resume', '--reason', 'seen');
    await client.end();
  });

  it('shows its figures to this machine only, and not through a proxy', async () => {
    expect((await get(`${gateway.http}/metrics`)).status).toBe(200);
    expect((await get(`${gateway.http}/metrics`, { 'x-forwarded-for': '203.0.113.9' })).status).toBe(403);
  });

  it('is not ready while the state can’t be written, and says so without a path', async () => {
    const state = openStateFile(site);
    state.exec('BEGIN IMMEDIATE');
    try {
      const { reasons } = await until(gateway, 503);
      expect(reasons).toEqual([expect.stringMatching(/^state: it /)]);
      expect(JSON.stringify(reasons)).not.toContain(site.directory);
      const { status, body: page } = await get(`${gateway.http}/metrics`);
      expect(status).toBe(200);
      expect(page).toContain('countersign_ready{part="state"} 0');
      expect(figure(page, 'countersign_ledger_entries_total')).toBeGreaterThan(0);
    } finally {
      state.exec('ROLLBACK');
      state.close();
    }
    await until(gateway, 200);
    expect((await get(`${gateway.http}/healthz`)).status).toBe(200);
  }, 60_000);

  it('is not ready while a target is down, and says which', async () => {
    await site.server.stop();
    const { reasons } = await until(gateway, 503);
    expect(reasons).toEqual(['target rental-production: it can’t be reached']);
  }, 60_000);
});

describe.runIf(server !== undefined)('a gateway that ends or was tampered with', () => {
  let site: Site;
  beforeAll(async () => {
    if (server === undefined) return;
    site = await startSite(server.binaries);
  }, 60_000);
  afterAll(() => site?.remove());

  it('says that it ends while what runs may finish', async () => {
    const gateway = await site.serve();
    const task = await site.openTask(WORK);
    const client = new pg.Client({ connectionString: task.postgres });
    await client.connect();
    client.on('error', () => undefined);
    await client.query('BEGIN');
    const ended = gateway.stop();
    const { reasons } = await until(gateway, 503);
    expect(reasons).toEqual(['gateway: it is ending']);
    // On a busy machine the grace may be over by now, and the client cut off.
    await client.query('ROLLBACK').catch(() => undefined);
    expect(await ended).toBe(0);
  }, 60_000);

  it('shows its figures to whoever has the token, and nobody else, where one is configured', async () => {
    const token = 'metrics-token-of-this-test';
    process.env['METRICS_TOKEN_OF_THIS_TEST'] = token;
    site.edit((config) => `${config}\nmetrics:\n  token: \${env:METRICS_TOKEN_OF_THIS_TEST}\n`);
    const gateway = await site.serve();
    expect((await get(`${gateway.http}/metrics`)).status).toBe(401);
    expect((await get(`${gateway.http}/metrics`, { authorization: 'Bearer another-token' })).status).toBe(401);
    const allowed = { authorization: `Bearer ${token}`, 'x-forwarded-for': '203.0.113.9' };
    expect((await get(`${gateway.http}/metrics`, allowed)).status).toBe(200);
    // Another token, and a file that is wrong: both without a restart.
    writeFileSync(join(site.directory, 'metrics.token'), 'another-token-of-this-test', { mode: 0o600 });
    site.edit((config) => config.replace('${env:METRICS_TOKEN_OF_THIS_TEST}', '${file:metrics.token}'));
    const changed = { authorization: 'Bearer another-token-of-this-test' };
    await eventually(async () => (await get(`${gateway.http}/metrics`, changed)).status === 200);
    site.edit((config) => `${config}\nnonsense: true\n`);
    const failed = async () =>
      figure((await get(`${gateway.http}/metrics`, changed)).body, 'countersign_reload_failed');
    await eventually(async () => (await failed()) === 1);
    site.edit((config) => config.replace('\nnonsense: true\n', ''));
    await eventually(async () => (await failed()) === 0);
    await gateway.stop();
  }, 60_000);

  it('is not ready once its ledger is not as it was signed', async () => {
    const gateway = await site.serve();
    await until(gateway, 200);
    const state = openStateFile(site);
    state.exec('UPDATE ledger_nodes SET hash = zeroblob(32)');
    state.close();
    expect((await until(gateway, 503)).reasons).toEqual([
      'state: its ledger is not as it was signed: countersign ledger verify',
    ]);
    await gateway.kill();
  }, 60_000);
});

describe.runIf(server !== undefined)('a gateway whose state lies on a server', () => {
  let site: Site;
  let place: PostgresPlace;
  beforeAll(async () => {
    if (server === undefined) return;
    site = await startSite(server.binaries, { durable: true });
    place = await startPostgresPlace(server.binaries);
    const { host, port, database, user } = await place.make();
    writeFileSync(join(site.directory, 'secrets', 'state'), place.server.password, { mode: 0o600 });
    site.edit((config) =>
      config.replace(
        /^state: .*$/m,
        `state: { url: "postgres://${user}@${host}:${port}/${database}", password: "\${file:secrets/state}", tls: disable }`,
      ),
    );
  }, 60_000);
  afterAll(async () => {
    await site?.remove();
    await place?.remove();
  });

  it('is ready with it and not without, and the doctor says so, too', async () => {
    const gateway = await site.serve();
    await until(gateway, 200);
    const before = await site.run('doctor', '--json');
    expect(
      before.json<{ findings: { verdict: string }[] }>().findings.filter(({ verdict }) => verdict === 'fail'),
    ).toEqual([]);

    await place.server.stop();
    const { reasons } = await until(gateway, 503);
    expect(reasons).toEqual([expect.stringMatching(/^state: it /)]);
    const after = await site.run('doctor', '--json');
    expect(after.code).toBe(1);
    expect(after.stdout).toContain('state.open');
    for (const text of [after.stdout, after.stderr, gateway.log()]) expect(text).not.toContain(place.server.password);
    await gateway.kill();
  }, 60_000);
});

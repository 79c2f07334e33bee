import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hasPsql, type Site, startSite } from '../fixtures/gateway.ts';
import { servers } from '../fixtures/postgres.ts';
import { countersign, type Ran } from '../fixtures/run-command.ts';

/** An attack that every gateway must let through, because the policies at hand allow it: what a red team is for. */
const OWN = `
scenarios:
  - id: in-limits
    title: One row within the limits, called an attack
    class: out-of-scope
    actor: writer
    bare: writer
    attacks: [DELETE FROM redteam.orders WHERE id = 1 AND NOT EXISTS (SELECT FROM redteam.order_lines), UPDATE redteam.orders SET status = 'forged' WHERE id = 2]
    benign: [DELETE FROM redteam.orders, SELECT 1]
  - id: does-nothing
    title: Nothing at all, called an attack
    class: out-of-scope
    attacks: [SELECT 1]
`;

interface Told {
  readonly target: string;
  readonly server: string;
  readonly losses: readonly unknown[];
  readonly empty: readonly unknown[];
  readonly tables: Readonly<Record<string, number>>;
  readonly score: Readonly<Record<string, number>>;
  readonly attacks: readonly {
    readonly id: string;
    readonly bare: { readonly harmed: boolean; readonly found: readonly string[] };
    readonly channels: Readonly<Record<string, { readonly harmed: boolean; readonly found: readonly string[] }>>;
  }[];
  readonly benign: readonly { readonly id: string; readonly refused: Readonly<Record<string, string>> }[];
}

/** pg_dump reads servers of its own major and older ones: with the host's, a target can be read; else the demo's set-up is tried. */
const host = hasPsql ? servers.find(({ binaries }) => binaries.from === 'host') : undefined;

/** The whole corpus is tried by `countersign redteam --demo` and `--plain`; here a part, and that the red team itself tells the truth. */
describe('countersign redteam', () => {
  const directory = mkdtempSync(join(tmpdir(), 'countersign-redteam-test-'));
  const file = (name: string) => join(directory, name);
  let site: Site | undefined;
  let ran: Ran;
  let told: Told;

  beforeAll(async () => {
    writeFileSync(file('own.yaml'), OWN);
    const outputs = ['--junit', file('junit.xml'), '--sarif', file('sarif.json'), '--html', file('page.html')];
    const some = ['second-statement', 'flip-at-start-up', 'in-limits', 'does-nothing'];
    site = host === undefined ? undefined : await startSite(host.binaries);
    const on = site === undefined ? ['--demo'] : ['--config', site.config];
    const own = ['--scenarios', file('own.yaml'), '--only', ...some];
    ran = await countersign(['redteam', ...on, ...own, ...outputs, '--json'], { timeoutMs: 280_000 });
    told = ran.json<Told>();
  }, 300_000);
  afterAll(async () => {
    await site?.remove();
    rmSync(directory, { recursive: true, force: true });
  });

  it('tries the target’s own schema, filled with rows, on a server of the same major', () => {
    expect(told.target).toBe('rental-production');
    expect(told.server).toBe(`PostgreSQL ${host?.binaries.major ?? 18}`);
    expect(told.losses).toEqual([]);
    expect(told.empty).toEqual([]);
    expect(Object.keys(told.tables)).toEqual(expect.arrayContaining(['public.customers', 'public.telemetry']));
  });

  it('stops what is shipped, and refuses nothing that is harmless', () => {
    const shipped = told.attacks.filter(({ id }) => !/^(in-limits|does-nothing)/.test(id));
    expect(shipped.length).toBeGreaterThan(10);
    for (const { id, bare, channels } of shipped) {
      expect(bare.harmed, `${id} on the bare database`).toBe(true);
      for (const [channel, { found }] of Object.entries(channels)) expect(found, `${id} over ${channel}`).toEqual([]);
    }
    for (const { id, refused } of told.benign.filter((benign) => !benign.id.startsWith('in-limits'))) {
      expect(refused, id).toEqual({});
    }
  });

  it('sees what gets through, by what is true in the database and not by what is answered', () => {
    const through = told.attacks.find(({ id }) => id === 'in-limits/2');
    for (const channel of ['simple', 'extended', 'mcp']) {
      expect(through?.channels[channel]?.found, channel).toEqual(['rows of redteam.orders: 160 rows → 160 rows']);
    }
    expect(told.score['through']).toBe(1);
    expect(ran.code).toBe(1);
  });

  it('sees harmless work that is refused', () => {
    const [first, second] = told.benign.filter(({ id }) => id.startsWith('in-limits'));
    expect(Object.keys(first?.refused ?? {})).toEqual(['simple', 'extended', 'mcp']);
    expect(second?.refused).toEqual({});
    expect(told.score['refused']).toBe(1);
  });

  it('says which attack proves nothing, because the bare database stands it too', () => {
    const nothing = told.attacks.filter(({ bare }) => !bare.harmed).map(({ id }) => id);
    expect(nothing).toEqual(['in-limits/1', 'does-nothing/1']);
  });

  it('tells the same as JUnit, SARIF and a page that asks nothing of the network', () => {
    const junit = readFileSync(file('junit.xml'), 'utf8');
    expect(junit.match(/<failure /g)).toHaveLength(4);
    const sarif = JSON.parse(readFileSync(file('sarif.json'), 'utf8'));
    expect(sarif.version).toBe('2.1.0');
    const levels = sarif.runs[0].results.map(({ level }: { level: string }) => level).sort();
    expect(levels).toEqual(['error', 'note', 'note', 'warning']);
    const page = readFileSync(file('page.html'), 'utf8');
    expect(page).toContain('attacks got through');
    expect(page).not.toMatch(/src=|href=|<script|@import|url\(/);
  });

  it('knows what it was not told rightly', async () => {
    writeFileSync(file('wrong.yaml'), 'scenarios:\n  - id: x y\n    title: t\n    class: magic\n    attacks: []\n');
    const wrong = await countersign(['redteam', '--list', '--scenarios', file('wrong.yaml')]);
    expect(wrong.code).toBe(2);
    expect(wrong.stderr).toMatch(/wrong\.yaml:2:9 scenarios\.0\.id: lower case letters/);
    expect((await countersign(['redteam', '--list', '--only', 'nothing-of-the-kind'])).code).toBe(2);
  }, 20_000);
});

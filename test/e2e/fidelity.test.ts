import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hasPsql, type OpenedTask, type Site, startSite, WORK } from '../fixtures/gateway.ts';
import { newest, sampled, servers } from '../fixtures/postgres.ts';
import { BATCHES } from './fidelity/batches.ts';
import { META_COMMANDS } from './fidelity/meta-commands.ts';
import { SPECIMENS } from './fidelity/schema.ts';
import { COPIES, CURSORS, PREPARED, SETTINGS, TRANSACTIONS } from './fidelity/sessions.ts';
import { ERRORS, QUERIES, WRITES } from './fidelity/statements.ts';
import { VALUES } from './fidelity/values.ts';

/** Scripts that leave nothing behind in a session: one psql runs them all, which saves a connection for each. */
const IN_ONE_SESSION = new Set(['values', 'queries', 'errors']);

/** Each is a psql script. Directly and through the gateway psql must print the same, byte for byte. */
const SCRIPTS: Readonly<Record<string, readonly string[]>> = {
  values: VALUES,
  queries: QUERIES,
  errors: ERRORS,
  writes: WRITES,
  transactions: TRANSACTIONS,
  'several statements in one text': BATCHES,
  cursors: CURSORS,
  settings: SETTINGS,
  'prepared statements': PREPARED,
  COPY: COPIES,
  'commands of psql': META_COMMANDS,
};

/** What versions of the server differ in; the rest is the gateway's alone, and looked at before the newest. */
const OF_VERSIONS = new Set(['values', 'queries', 'errors']);

/** Nothing but the scripts is looked at: no time goes into encryption. */
const PLAIN = { PAGER: 'cat', PGSSLMODE: 'disable', PGGSSENCMODE: 'disable' };

const TASK = WORK.replace('read: [public.*]', "read: [public.*, 'Odd Schema.*']").replace(
  'write: [',
  'write: [public.payments, public.drafts, ',
);

describe.skipIf(!hasPsql).each(servers)('fidelity before $name', ({ name, binaries }) => {
  const themes = Object.entries(SCRIPTS).filter(
    ([theme]) => OF_VERSIONS.has(theme) || newest.some((one) => one.name === name),
  );
  let site: Site;
  let task: OpenedTask;

  beforeAll(async () => {
    site = await startSite(binaries, { schema: SPECIMENS });
    await site.serve();
    task = await site.openTask(TASK);
  }, 60_000);
  afterAll(() => site?.remove());

  function run(url: string, file: string): Promise<Buffer> {
    return new Promise((resolve) => {
      execFile(
        'psql',
        ['-X', '-a', '-f', file, url],
        { timeout: 120_000, maxBuffer: 64 * 1024 * 1024, encoding: 'buffer', env: { ...process.env, ...PLAIN } },
        (_error, stdout, stderr) => resolve(Buffer.concat([stdout, Buffer.from('\n'), stderr])),
      );
    });
  }

  it.each(themes)(
    'prints the same for scripts of %s',
    async (theme, scripts) => {
      const file = join(site.directory, 'script.sql');
      const different: string[] = [];
      const runs = IN_ONE_SESSION.has(theme) ? [scripts.join('\n\\echo ----\n')] : sampled(scripts);
      for (const script of runs) {
        writeFileSync(file, `${script}\n`);
        const [direct, governed] = [await run(site.databaseUrl, file), await run(task.postgres, file)];
        if (!direct.equals(governed)) {
          different.push(`${script.slice(0, 500)}\n${firstDifference(String(direct), String(governed))}`);
        }
      }
      expect(different.join('\n======\n')).toBe('');
    },
    300_000,
  );
});

/** Where two outputs part, with what stands around it. */
function firstDifference(direct: string, governed: string): string {
  const [expected, found] = [direct.split('\n'), governed.split('\n')];
  const at = expected.findIndex((line, index) => line !== found[index]);
  const around = (lines: readonly string[]) => lines.slice(Math.max(0, at - 5), at + 10).join('\n');
  return `--- directly\n${around(expected)}\n--- governed\n${around(found)}`;
}

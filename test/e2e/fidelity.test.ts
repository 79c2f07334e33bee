import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hasPsql, type OpenedTask, type Site, startSite, WORK } from '../fixtures/gateway.ts';
import { servers } from '../fixtures/postgres.ts';
import { BATCHES } from './fidelity/batches.ts';
import { META_COMMANDS } from './fidelity/meta-commands.ts';
import { SPECIMENS } from './fidelity/schema.ts';
import { COPIES, CURSORS, PREPARED, SETTINGS, TRANSACTIONS } from './fidelity/sessions.ts';
import { ERRORS, QUERIES, WRITES } from './fidelity/statements.ts';
import { VALUES } from './fidelity/values.ts';

/** Each is a psql script of its own. Directly and through the gateway psql must print the same, byte for byte. */
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

/** Nothing but the scripts is looked at: no time goes into encryption. */
const PLAIN = { PAGER: 'cat', PGSSLMODE: 'disable', PGGSSENCMODE: 'disable' };

const TASK = WORK.replace('read: [public.*]', "read: [public.*, 'Odd Schema.*']").replace(
  'write: [',
  'write: [public.payments, public.drafts, ',
);

describe.skipIf(!hasPsql).each(servers)('fidelity before $name', ({ binaries }) => {
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
        { timeout: 60_000, maxBuffer: 64 * 1024 * 1024, encoding: 'buffer', env: { ...process.env, ...PLAIN } },
        (_error, stdout, stderr) => resolve(Buffer.concat([stdout, Buffer.from('\n'), stderr])),
      );
    });
  }

  it.each(Object.entries(SCRIPTS))(
    'prints the same for scripts of %s',
    async (_theme, scripts) => {
      const file = join(site.directory, 'script.sql');
      const different: string[] = [];
      for (const script of scripts) {
        writeFileSync(file, `${script}\n`);
        const [direct, governed] = [await run(site.databaseUrl, file), await run(task.postgres, file)];
        if (!direct.equals(governed)) {
          different.push(`${script.slice(0, 500)}\n--- directly\n${direct}\n--- governed\n${governed}`);
        }
      }
      expect(different.join('\n======\n')).toBe('');
    },
    300_000,
  );
});

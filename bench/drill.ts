import { writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { startSite } from '../test/fixtures/gateway.ts';
import { asSuperuser, servers } from '../test/fixtures/postgres.ts';
import { countersign } from '../test/fixtures/run-command.ts';

/**
 * A backup and a drill of a large database, with figures: `npm run bench:drill` (1 GB), `-- --gigabytes 10`. The database
 * is four tables with a key and an index each, half of it text that no compression makes much less of.
 */
const { values } = parseArgs({ options: { gigabytes: { type: 'string', default: '1' } } });
const gigabytes = Number(values.gigabytes);
const TABLES = 4;
/** As PostgreSQL lays them down, with both indexes. */
const ROWS_A_GIGABYTE = 5_800_000;

const host = servers.find(({ binaries }) => binaries.from === 'host');
if (host === undefined) throw new Error('pg_dump is the host’s: install postgresql');
const seconds = (ms: number) => `${(ms / 1000).toFixed(1)} s`;
const rows = Math.round((ROWS_A_GIGABYTE * gigabytes) / TABLES);

const site = await startSite(host.binaries, {
  scale: 0.01,
  schema: "CREATE ROLE countersign_backup LOGIN PASSWORD 'backup-secret' IN ROLE pg_read_all_data",
});
const ask = async <T>(...args: readonly string[]): Promise<T> => {
  const ran = await countersign([...args, '--config', site.config, '--json'], {
    cwd: site.directory,
    timeoutMs: 24 * 3_600_000,
  });
  if (ran.code !== 0) throw new Error(ran.stderr);
  return ran.json<T>();
};
try {
  await asSuperuser(site.databaseUrl, 'GRANT CONNECT ON DATABASE rental TO countersign_backup');
  const madeMs = performance.now();
  for (let table = 1; table <= TABLES; table++)
    await asSuperuser(
      site.databaseUrl,
      `CREATE TABLE public.readings_${table} (id bigint PRIMARY KEY, device integer NOT NULL, at timestamptz NOT NULL, value double precision, note text);
       INSERT INTO public.readings_${table} SELECT i, i % 5000, timestamptz '2026-01-01' + i * interval '1 second', random() * 1000, md5(i::text) || left(repeat('as it was before, ', 3), i % 40) FROM generate_series(1, ${rows}) AS i;
       CREATE INDEX ON public.readings_${table} (device, at)`,
    );
  const [size] = await asSuperuser<{ bytes: string }>(
    site.databaseUrl,
    'SELECT pg_database_size(current_database()) AS bytes',
  );
  console.log(`${cpus().length} cores (${cpus()[0]?.model}), ${host.name}`);
  console.log(
    `database  ${(Number(size?.bytes) / 1e9).toFixed(2)} GB, ${TABLES * rows} rows, made in ${seconds(performance.now() - madeMs)}`,
  );

  const file = (name: string, text: string) => writeFileSync(join(site.directory, name), text, { mode: 0o600 });
  file('keys/backup-login', 'backup-secret');
  const made = await countersign(['backup', 'key', join(site.directory, 'keys/backup.age'), '--json']);
  const { recipient } = made.json<{ recipient: string }>();
  site.edit((text) =>
    text
      .replace(
        /^( {4}credentials:\n)/m,
        "$1      backup: { user: countersign_backup, password: '${file:keys/backup-login}' }\n",
      )
      .replace(
        /^( {4}credentials:\n)/m,
        `    backup:\n      store: { directory: kept }\n      recipients: [${recipient}]\n      identity: '\${file:keys/backup.age}'\n$1`,
      ),
  );
  const backup = await ask<{ bytes: number; durationMs: number }>('backup', 'create');
  console.log(`backup    ${seconds(backup.durationMs)}, ${(backup.bytes / 1e6).toFixed(0)} MB encrypted`);
  const drill = await ask<{ rows: number; fetchMs: number; restoreMs: number; compareMs: number }>('drill', 'run');
  console.log(
    `drill     ${seconds(drill.fetchMs)} to fetch and decrypt, ${seconds(drill.restoreMs)} to restore, ${seconds(drill.compareMs)} to compare ${drill.rows} rows`,
  );
} finally {
  await site.remove();
}

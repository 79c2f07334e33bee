import { execFile } from 'node:child_process';
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const SCRIPT = `\\set id random(1, 200)
SELECT full_name FROM public.customers WHERE id = :id;
`;

/** PostgreSQL's own load generator, where the system has one (Debian: `apt-get install postgresql`). */
export const pgbench = readdirSync('/usr/lib/postgresql', { withFileTypes: true })
  .map((entry) => join('/usr/lib/postgresql', entry.name, 'bin/pgbench'))
  .find((path) => existsSync(path));

/** Point reads. @param more further arguments of pgbench. @returns transactions a second, without connecting. */
export function pointReadRate(
  url: string,
  load: { readonly mode: string; readonly clients: number; readonly seconds: number; readonly directory: string },
  ...more: readonly string[]
): Promise<number> {
  const script = join(load.directory, 'point.sql');
  writeFileSync(script, SCRIPT);
  const { mode, clients, seconds } = load;
  const args = ['-n', '-M', mode, '-c', String(clients), '-j', '1', '-T', String(seconds), '-f', script, ...more, url];
  return new Promise((resolve, reject) => {
    execFile(pgbench ?? 'pgbench', args, (error, stdout) => {
      const found = /tps = ([\d.]+)/.exec(stdout)?.[1];
      if (error !== null || found === undefined)
        reject(error ?? new Error('pgbench told no figure: its clients took too long to connect'));
      else resolve(Number(found));
    });
  });
}

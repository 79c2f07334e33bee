import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import net, { type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** A C pooler before the same database: what a process in between costs at best. */
export interface Pooler {
  readonly url: string;
  stop(): void;
}

const BINARY = '/usr/sbin/pgbouncer';

/** @returns `undefined` where there is none (Debian: `apt-get install pgbouncer`). */
export async function startPgbouncer(databaseUrl: string): Promise<Pooler | undefined> {
  if (!existsSync(BINARY)) return undefined;
  const { hostname, port, username, password, pathname } = new URL(databaseUrl);
  const directory = mkdtempSync(join(tmpdir(), 'countersign-pgbouncer-'));
  chmodSync(directory, 0o755);
  const ini = join(directory, 'pgbouncer.ini');
  const listen = await freePort();
  const target = `host=${hostname} port=${port} dbname=${pathname.slice(1)} user=${username} password=${password}`;
  writeFileSync(
    ini,
    `[databases]\nrental = ${target}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = ${listen}\nauth_type = any\npool_mode = session\nmax_client_conn = 200\ndefault_pool_size = 100\nunix_socket_dir =\n`,
    { mode: 0o644 },
  );
  // It refuses to run as root.
  const isRoot = process.getuid?.() === 0;
  const child: ChildProcess = spawn(BINARY, ['-q', ini], {
    stdio: 'ignore',
    ...(isRoot ? { uid: Number(execFileSync('id', ['-u', 'nobody'])) } : {}),
  });
  await sleep(500);
  return {
    url: `postgres://bench@127.0.0.1:${listen}/rental`,
    stop() {
      child.kill('SIGTERM');
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = net.createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}

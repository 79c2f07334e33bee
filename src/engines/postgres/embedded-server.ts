import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmodSync, chownSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { join } from 'node:path';
import { findServerBinaries, type ServerBinaries } from './server-binaries.ts';

/** A real PostgreSQL server that this process has started on the loopback interface and ends with itself. */
export interface EmbeddedServer {
  readonly host: '127.0.0.1';
  readonly port: number;
  readonly superuser: string;
  readonly password: string;
  readonly major: number;
  readonly dataDirectory: string;
  /** A connection string for the superuser. */
  url(database: string): string;
  stop(): Promise<void>;
  /** Ends the server as a power cut would: nothing is written any more. */
  kill(): Promise<void>;
}

export interface EmbeddedServerOptions {
  /** Made and initialised when it doesn't exist; kept when the server stops. */
  readonly dataDirectory: string;
  readonly binaries?: ServerBinaries;
  /** A free one when left out. */
  readonly port?: number;
  /** `false` only for servers whose data may be lost. */
  readonly durable?: boolean;
  readonly settings?: Readonly<Record<string, string>>;
  /** How long recovery may take before it is given up. */
  readonly startTimeoutMs?: number;
  /** Gets the server's log as it is written. */
  readonly onLog?: (text: string) => void;
}

const SUPERUSER = 'postgres';
const START_TIMEOUT_MS = 30_000;
const STOP_TIMEOUT_MS = 20_000;

/**
 * Starts a server, as an ordinary user even when root asks for it: PostgreSQL refuses to run as root.
 *
 * @throws when there are no server programs here, or the server doesn't come up; the message holds the server's own log.
 */
export async function startEmbeddedServer(options: EmbeddedServerOptions): Promise<EmbeddedServer> {
  const binaries = options.binaries ?? findServerBinaries();
  if (binaries === undefined)
    throw new Error('there is no PostgreSQL server on this machine: run npm ci, or install one');
  const account = serverAccount();
  const { dataDirectory } = options;
  const password = initialise(binaries, dataDirectory, account);
  endStaleServer(dataDirectory);

  for (let attempt = 0; ; attempt++) {
    const port = options.port ?? (await freePort());
    const started = await start(binaries, { ...options, port }, account);
    if (started.process !== undefined) {
      return running(started.process, { port, password, major: binaries.major, dataDirectory });
    }
    // Between choosing a free port and binding it somebody else may have taken it.
    if (options.port !== undefined || attempt >= 4 || !/could not bind|Address already in use/.test(started.log)) {
      throw new Error(`PostgreSQL did not start:\n${started.log}`);
    }
  }
}

export interface Account {
  readonly uid: number;
  readonly gid: number;
}

/** The user that servers run as: ourselves, or for root `postgres`, else `nobody`. */
export function serverAccount(): Account | undefined {
  if (process.getuid?.() !== 0) return undefined;
  for (const name of ['postgres', 'nobody']) {
    const id = (flag: string) => spawnSync('id', [flag, name], { encoding: 'utf8' });
    const [uid, gid] = [id('-u'), id('-g')];
    if (uid.status === 0 && gid.status === 0) return { uid: Number(uid.stdout), gid: Number(gid.stdout) };
  }
  throw new Error('PostgreSQL does not run as root, and there is neither a user postgres nor nobody to run it as');
}

/** Initialises the data directory where that isn't done, and returns the superuser's password, which is kept in it. */
function initialise(binaries: ServerBinaries, dataDirectory: string, account: Account | undefined): string {
  const passwordFile = join(dataDirectory, 'countersign.superuser');
  if (existsSync(join(dataDirectory, 'PG_VERSION'))) {
    // A copy of somebody else's server has no password of ours: it is reached through its socket.
    if (!existsSync(passwordFile)) return '';
    handTo(account, passwordFile);
    return readFileSync(passwordFile, 'utf8');
  }
  const password = randomBytes(24).toString('base64url');
  mkdirSync(dataDirectory, { recursive: true, mode: 0o700 });
  chmodSync(dataDirectory, 0o700);
  const handOver = `${dataDirectory}.pw`;
  writeFileSync(handOver, password, { mode: 0o600 });
  if (account !== undefined) {
    chownSync(dataDirectory, account.uid, account.gid);
    chownSync(handOver, account.uid, account.gid);
  }
  const made = spawnSync(
    join(binaries.directory, 'initdb'),
    [
      '-D',
      dataDirectory,
      '-U',
      SUPERUSER,
      `--pwfile=${handOver}`,
      '-A',
      'scram-sha-256',
      '-E',
      'UTF8',
      '--locale=C',
      '--no-sync',
      '--no-instructions',
    ],
    { ...account, cwd: '/', encoding: 'utf8' },
  );
  rmSync(handOver, { force: true });
  if (made.status !== 0) {
    throw new Error(`initdb failed: ${made.error?.message ?? ''}${made.stderr}${made.stdout}`);
  }
  writeFileSync(passwordFile, password, { mode: 0o600 });
  handTo(account, passwordFile);
  return password;
}

/** Whatever lies in its directory the server must be able to read: a base backup takes all of it. */
function handTo(account: Account | undefined, file: string): void {
  if (account !== undefined) chownSync(file, account.uid, account.gid);
}

/** A server whose Node process died lives on; a second one on the same directory would refuse to start. */
function endStaleServer(dataDirectory: string): void {
  const file = join(dataDirectory, 'postmaster.pid');
  if (!existsSync(file)) return;
  const pid = Number(readFileSync(file, 'utf8').split('\n')[0]);
  if (!isRunning(pid)) return;
  process.kill(pid, 'SIGQUIT');
  const until = Date.now() + STOP_TIMEOUT_MS;
  while (isRunning(pid) && Date.now() < until) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20);
  rmSync(file, { force: true });
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ESRCH') return false;
    return true;
  }
}

function start(
  binaries: ServerBinaries,
  options: EmbeddedServerOptions & { readonly port: number },
  account: Account | undefined,
): Promise<{ readonly process?: ChildProcess; readonly log: string }> {
  const settings: Record<string, string> = {
    listen_addresses: '127.0.0.1',
    port: String(options.port),
    unix_socket_directories: '',
    fsync: options.durable === false ? 'off' : 'on',
    full_page_writes: options.durable === false ? 'off' : 'on',
    ...options.settings,
  };
  const server = spawn(
    join(binaries.directory, 'postgres'),
    ['-D', options.dataDirectory, ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])],
    { ...account, cwd: '/', stdio: ['ignore', 'ignore', 'pipe'] },
  );
  return new Promise((resolve) => {
    let log = '';
    const timer = setTimeout(() => server.kill('SIGQUIT'), options.startTimeoutMs ?? START_TIMEOUT_MS);
    server.on('error', (error) => resolve({ log: error.message }));
    server.once('exit', () => {
      clearTimeout(timer);
      resolve({ log });
    });
    server.stderr?.setEncoding('utf8').on('data', (text: string) => {
      options.onLog?.(text);
      log = (log + text).slice(-20_000);
      if (!log.includes('database system is ready to accept connections')) return;
      clearTimeout(timer);
      resolve({ process: server, log });
    });
  });
}

function running(
  server: ChildProcess,
  facts: { readonly port: number; readonly password: string; readonly major: number; readonly dataDirectory: string },
): EmbeddedServer {
  const exited = new Promise<void>((resolve) => server.once('exit', () => resolve()));
  const endWithUs = () => server.kill('SIGQUIT');
  process.once('exit', endWithUs);
  server.unref();
  if (server.stderr !== null && 'unref' in server.stderr) (server.stderr as unknown as { unref(): void }).unref();
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    process.off('exit', endWithUs);
    if (server.exitCode !== null || server.signalCode !== null) return;
    server.ref();
    server.kill(signal);
    const timer = setTimeout(() => server.kill('SIGKILL'), STOP_TIMEOUT_MS);
    await exited;
    clearTimeout(timer);
  };
  return {
    host: '127.0.0.1',
    superuser: SUPERUSER,
    ...facts,
    url: (database) => `postgres://${SUPERUSER}:${facts.password}@127.0.0.1:${facts.port}/${database}`,
    stop: () => end('SIGINT'),
    kill: () => end('SIGQUIT'),
  };
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = net.createServer();
    probe.once('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address();
      probe.close(() =>
        address !== null && typeof address === 'object' ? resolve(address.port) : reject(new Error('no port')),
      );
    });
  });
}

import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { type EmbeddedServer, startEmbeddedServer } from '../engines/postgres/embedded-server.ts';
import { loadRental } from './load-rental.ts';

/** What the demo plays on: two real servers, a directory with a configuration, a gateway, and the command line. */
export interface Stage {
  readonly directory: string;
  readonly production: Database;
  readonly staging: Database;
  /** Runs `countersign` as a person would, in the demo's directory. */
  command(...args: readonly string[]): Promise<Ran>;
  writeFile(name: string, content: string): string;
  edit(name: string, change: (text: string) => string): void;
  serve(): Promise<Served>;
  /** Ends everything and removes it. */
  clear(): Promise<void>;
}

export interface Database {
  readonly server: EmbeddedServer;
  /** For the superuser: around the gateway. */
  readonly url: string;
}

export interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Served {
  readonly pg: string;
  readonly http: string;
  readonly mcp: string;
}

const COUNTERSIGN = fileURLToPath(new URL('../../bin/countersign.js', import.meta.url));

/** Starts both servers and fills them. @param scale 1 is about 200,000 rows in production. */
export async function setStage(scale: number): Promise<Stage> {
  const directory = mkdtempSync(join(tmpdir(), 'countersign-demo-'));
  const servers: EmbeddedServer[] = [];
  let gateway: ChildProcess | null = null;

  const startOne = async (name: string, size: number): Promise<Database> => {
    const server = await startEmbeddedServer({ dataDirectory: `${directory}.${name}`, durable: true });
    servers.push(server);
    return { server, url: await loadRental(server.url('postgres'), { database: 'rental', scale: size }) };
  };
  const clear = async () => {
    if (gateway !== null && gateway.exitCode === null) {
      const ended = new Promise((resolve) => gateway?.once('exit', resolve));
      gateway.kill('SIGTERM');
      await ended;
    }
    for (const server of servers) {
      await server.stop();
      rmSync(server.dataDirectory, { recursive: true, force: true });
    }
    rmSync(directory, { recursive: true, force: true });
  };

  try {
    const production = await startOne('production', scale);
    const staging = await startOne('staging', scale / 20);
    return {
      directory,
      production,
      staging,
      command: (...args) => run(directory, args),
      writeFile(name, content) {
        const path = join(directory, name);
        mkdirSync(join(path, '..'), { recursive: true });
        writeFileSync(path, content);
        return path;
      },
      edit(name, change) {
        const path = join(directory, name);
        writeFileSync(path, change(readFileSync(path, 'utf8')));
      },
      async serve() {
        gateway = spawn(process.execPath, [COUNTERSIGN, 'serve', '--json', '--log-level', 'warn'], {
          cwd: directory,
          stdio: ['ignore', 'pipe', 'pipe'],
        });
        return readyOf(gateway);
      },
      clear,
    };
  } catch (error) {
    await clear();
    throw error;
  }
}

function readyOf(child: ChildProcess): Promise<Served> {
  const { stdout, stderr } = child;
  if (stdout === null || stderr === null) throw new Error('the gateway has no output');
  let log = '';
  stderr.on('data', (chunk: Buffer) => {
    log += chunk.toString('utf8');
  });
  return new Promise((resolve, reject) => {
    createInterface({ input: stdout }).once('line', (line) => resolve(JSON.parse(line) as Served));
    child.once('exit', (code) => reject(new Error(`the gateway ended with ${code}:\n${log}`)));
  });
}

function run(cwd: string, args: readonly string[]): Promise<Ran> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [COUNTERSIGN, ...args], { cwd, stdio: ['ignore', 'pipe', 'pipe'] });
    let stdout = '';
    let stderr = '';
    child.stdout.on('data', (chunk: Buffer) => {
      stdout += chunk.toString('utf8');
    });
    child.stderr.on('data', (chunk: Buffer) => {
      stderr += chunk.toString('utf8');
    });
    child.once('error', reject);
    child.once('close', (code) => resolve({ code: code ?? 128, stdout, stderr }));
  });
}

/** The port that people expect when nobody else has it; else any. */
export async function portOr(preferred: number): Promise<number> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', () => resolve(0));
    probe.listen(preferred, '127.0.0.1', () => probe.close(() => resolve(preferred)));
  });
}

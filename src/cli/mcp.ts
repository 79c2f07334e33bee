import { readFileSync, statSync } from 'node:fs';
import type { Command } from 'commander';

interface McpOptions {
  readonly url: string;
  readonly tokenFile?: string;
  readonly plainHttp?: boolean;
}

const DEFAULT_URL = 'http://127.0.0.1:6480/mcp';
const EXIT_USAGE = 2;

/** Adds `countersign mcp`: a stdio bridge to a running gateway, for clients that start a program. It holds no credential of a database. */
export function registerMcp(program: Command): void {
  program
    .command('mcp')
    .description('carry MCP between stdio and a running gateway')
    .option('--url <url>', 'the gateway’s MCP endpoint', DEFAULT_URL)
    .option('--token-file <file>', 'file with the token; else it is taken from COUNTERSIGN_TOKEN')
    .option('--plain-http', 'send the token unencrypted to another machine')
    .action(async (options: McpOptions, command: Command) => {
      const refuse = (message: string): never => command.error(`countersign mcp: ${message}`, { exitCode: EXIT_USAGE });
      const url = readUrl(options, refuse);
      const token = readToken(options.tokenFile, refuse);
      const { runStdioBridge } = await import('../channels/mcp/stdio-bridge.ts');
      const stop = new AbortController();
      for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort());
      await runStdioBridge({
        url,
        token,
        input: process.stdin,
        output: process.stdout,
        log: (line) => process.stderr.write(`${line}\n`),
        signal: stop.signal,
      });
      // Nothing is left to be done, though stdin may still be open.
      process.stdin.destroy();
    });
}

type Refuse = (message: string) => never;

function readUrl({ url: text, plainHttp }: McpOptions, refuse: Refuse): URL {
  const url = URL.canParse(text) ? new URL(text) : refuse(`--url ${JSON.stringify(text)} is not a URL`);
  if (url.protocol === 'https:') return url;
  if (url.protocol !== 'http:') return refuse('--url must begin with http:// or https://');
  if (plainHttp === true || LOOPBACK.test(url.hostname)) return url;
  return refuse(
    `the token would travel unencrypted to ${url.hostname}: use https://, or --plain-http if the way there is safe`,
  );
}

const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/;

function readToken(file: string | undefined, refuse: Refuse): string {
  const token = file === undefined ? (process.env['COUNTERSIGN_TOKEN'] ?? '') : readTokenFile(file, refuse);
  if (/^[\x21-\x7e]{8,512}$/.test(token)) return token;
  if (token !== '') return refuse('the token is malformed; it is one line of printable ASCII');
  return refuse('there is no token: set COUNTERSIGN_TOKEN or pass --token-file; `countersign task open` prints one');
}

const READABLE_BY_OTHERS = 0o077;

function readTokenFile(file: string, refuse: Refuse): string {
  try {
    if ((statSync(file).mode & READABLE_BY_OTHERS) !== 0) {
      return refuse(`${file} can be read by others; run: chmod 600 ${file}`);
    }
    return readFileSync(file, 'utf8').trim();
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && 'syscall' in error)) throw error;
    return refuse(`${file} can’t be read: ${error.message}`);
  }
}

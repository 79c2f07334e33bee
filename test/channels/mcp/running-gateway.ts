import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { pino } from 'pino';
import { type HttpServer, startHttp } from '../../../src/channels/http/server.ts';
import { createMcpEndpoint } from '../../../src/channels/mcp/endpoint.ts';
import { asSuperuser, rentalDatabase, servers, startTestServer, WHOLE } from '../../fixtures/postgres.ts';
import { gatewayOnPostgres, type TestGateway } from './gateway-on-postgres.ts';

/** A PostgreSQL with the rental database, a gateway before it, and the HTTP server with MCP before that. */
export interface RunningGateway {
  readonly gateway: TestGateway;
  readonly http: HttpServer;
  /** Of the database, for looking behind the gateway's back. */
  readonly url: string;
  /** What was logged. */
  readonly logged: readonly string[];
  /** Stops the HTTP server and starts it again on the same port, as after a restart: all sessions are forgotten. */
  restart(): Promise<void>;
  stop(): Promise<void>;
}

export async function startGateway(): Promise<RunningGateway> {
  const [newest] = servers;
  if (newest === undefined) throw new Error('there is no PostgreSQL server on this machine');
  const server = await startTestServer(newest.binaries);
  const url = await rentalDatabase(server);
  await asSuperuser(url, 'CREATE TABLE public.notes (id int PRIMARY KEY, body text)');
  const gateway = gatewayOnPostgres(url);
  const logged: string[] = [];
  const log = pino({ level: 'info' }, { write: (line: string) => void logged.push(line) });
  const start = (port: number) =>
    startHttp({
      host: '127.0.0.1',
      port,
      gateway,
      mcp: createMcpEndpoint({ gateway, version: '1.2.3', log, cursorKey: Buffer.from('the tests’ key') }),
      receiveApproval: async () => ({
        refused: { refused: 'denied', message: 'Not signed by anybody.', hint: 'Sign it.' },
      }),
      needs: async () => [],
      version: '1.2.3',
      log,
    });
  let http = await start(0);
  return {
    gateway,
    get http() {
      return http;
    },
    url,
    logged,
    async restart() {
      const { port } = http.address;
      await http.close(100);
      http = await start(port);
    },
    async stop() {
      await http.close(100);
      await gateway.close();
      await server.remove();
    },
  };
}

/** The protocol versions that clients speak: the one with sessions, and the one without. */
export const PROTOCOLS = ['2025-11-25', '2026-07-28'] as const;
export type ProtocolVersion = (typeof PROTOCOLS)[number];

/** For what is behind the protocol: the newest, or both with WHOLE=1. */
export const ONE_PROTOCOL = WHOLE ? PROTOCOLS : PROTOCOLS.slice(1);

export function newClient(version: ProtocolVersion = '2025-11-25'): Client {
  return new Client(
    { name: 'test', version: '1' },
    version === '2026-07-28' ? { versionNegotiation: { mode: { pin: version } } } : {},
  );
}

export async function connectClient(url: string, token: string, version?: ProtocolVersion): Promise<Client> {
  const client = newClient(version);
  await client.connect(
    new StreamableHTTPClientTransport(new URL(`${url}/mcp`), {
      requestInit: { headers: { authorization: `Bearer ${token}` } },
    }),
  );
  return client;
}

/** What a tool call came to, its structure open to be looked into. */
export interface Called {
  readonly structured: Record<string, unknown>;
  readonly text: string;
  readonly isError: boolean;
  readonly untrusted: unknown;
}

export async function call(
  client: Client,
  name: string,
  input: Record<string, unknown> = {},
  options: Parameters<Client['callTool']>[1] = {},
): Promise<Called> {
  const result = await client.callTool({ name, arguments: input }, options);
  const [content] = result.content;
  return {
    structured: (result.structuredContent ?? {}) as Record<string, unknown>,
    text: content?.type === 'text' ? content.text : '',
    isError: result.isError === true,
    untrusted: result._meta?.['dev.countersign/untrusted'],
  };
}

import { createHash, randomUUID, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { NodeStreamableHTTPServerTransport } from '@modelcontextprotocol/node';
import { isInitializeRequest, type McpServer } from '@modelcontextprotocol/server';
import type { Caller } from './caller.ts';
import { sendJsonRpcError } from './json-rpc-error.ts';
import type { Sessions } from './sessions.ts';

/** The sessions of clients that speak 2025-11-25 or before: a handshake, then an id in a header of each request. */
export interface ClientSessions {
  post(
    request: IncomingMessage,
    response: ServerResponse,
    message: { readonly caller: Caller; readonly token: string; readonly message: unknown },
  ): Promise<void>;
  end(request: IncomingMessage, response: ServerResponse, token: string): Promise<void>;
  close(): Promise<void>;
}

const MAX_SESSIONS = 1024;
/** So that one runaway agent leaves room for the others. */
const MAX_SESSIONS_PER_TOKEN = 128;
const IDLE_MS = 30 * 60_000;

interface ClientSession {
  readonly id: string;
  readonly caller: Caller;
  /** An id alone opens nothing: each request must come with the token that began the session. */
  readonly tokenHash: Buffer;
  readonly transport: NodeStreamableHTTPServerTransport;
  readonly server: McpServer;
  inFlight: number;
  lastUsedMs: number;
}

export function createClientSessions(
  createServer: (caller: Caller) => McpServer,
  sessions: Sessions,
  onError: (error: unknown) => void,
  now: () => number = Date.now,
): ClientSessions {
  const open = new Map<string, ClientSession>();
  let closed = false;

  const sweep = setInterval(() => {
    for (const session of open.values()) {
      if (session.inFlight === 0 && now() - session.lastUsedMs >= IDLE_MS) drop(session).catch(onError);
    }
  }, IDLE_MS / 30);
  sweep.unref();

  async function begin(caller: Caller, token: string): Promise<ClientSession> {
    const id = randomUUID();
    const transport = new NodeStreamableHTTPServerTransport({ sessionIdGenerator: () => id });
    const server = createServer(caller);
    const session: ClientSession = {
      id,
      caller,
      tokenHash: hashOf(token),
      transport,
      server,
      inFlight: 0,
      lastUsedMs: now(),
    };
    await server.connect(transport);
    open.set(id, session);
    return session;
  }

  async function drop(session: ClientSession): Promise<void> {
    if (!open.delete(session.id)) return;
    await session.server.close();
    const { caller } = session;
    if (caller.caller === 'task') await sessions.closeIdle(caller.task.id);
  }

  /** At a bound the session that has been idle longest ends: many clients go away without a word. */
  async function makeRoom(tokenHash: Buffer): Promise<boolean> {
    const own = [...open.values()].filter((session) => session.tokenHash.equals(tokenHash));
    const full = own.length >= MAX_SESSIONS_PER_TOKEN ? own : open.size >= MAX_SESSIONS ? [...open.values()] : [];
    if (full.length === 0) return true;
    const [oldest] = full.filter((session) => session.inFlight === 0).sort((a, b) => a.lastUsedMs - b.lastUsedMs);
    if (oldest === undefined) return false;
    await drop(oldest);
    return true;
  }

  function find(request: IncomingMessage, token: string): ClientSession | undefined {
    const id = request.headers['mcp-session-id'];
    const session = typeof id === 'string' ? open.get(id) : undefined;
    return session !== undefined && timingSafeEqual(session.tokenHash, hashOf(token)) ? session : undefined;
  }

  async function carry(session: ClientSession, request: IncomingMessage, response: ServerResponse, message: unknown) {
    session.inFlight++;
    response.once('close', () => {
      session.inFlight--;
      session.lastUsedMs = now();
    });
    await session.transport.handleRequest(request, response, message);
  }

  return {
    async post(request, response, { caller, token, message }) {
      if (!isInitializeRequest(message)) {
        const session = find(request, token);
        if (session === undefined) return unknownSession(request, response);
        return carry(session, request, response, message);
      }
      if (closed || !(await makeRoom(hashOf(token)))) {
        return sendJsonRpcError(response, 503, 'No more sessions can be opened now; end those that are not needed.', {
          'retry-after': '30',
        });
      }
      const session = await begin(caller, token);
      await carry(session, request, response, message);
      // A handshake that the transport has refused leaves nothing to come back to.
      if (response.statusCode >= 400) await drop(session);
    },
    async end(request, response, token) {
      const session = find(request, token);
      if (session === undefined) return unknownSession(request, response);
      await drop(session);
      response.writeHead(200).end();
    },
    async close() {
      closed = true;
      clearInterval(sweep);
      await Promise.all([...open.values()].map(drop));
    },
  };
}

/** 404 tells a client to begin a new session (MCP 2025-11-25, "Session Management"). */
function unknownSession(request: IncomingMessage, response: ServerResponse): void {
  if (request.headers['mcp-session-id'] === undefined) {
    sendJsonRpcError(response, 400, 'Begin with initialize, then send the session’s id as Mcp-Session-Id.');
  } else {
    sendJsonRpcError(response, 404, 'There is no such session, or it has ended: begin a new one with initialize.');
  }
}

function hashOf(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}

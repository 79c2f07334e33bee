import type { IncomingMessage, ServerResponse } from 'node:http';
import { type NodeIncomingMessageLike, toNodeHandler, toWebRequest } from '@modelcontextprotocol/node';
import { type AuthInfo, createMcpHandler, isLegacyRequest } from '@modelcontextprotocol/server';
import type { Logger } from 'pino';
import type { Gateway } from '../../pipeline/gateway.ts';
import { type Caller, callerOf } from './caller.ts';
import { createClientSessions } from './client-sessions.ts';
import { createCursors } from './cursor.ts';
import type { Desk } from './desk.ts';
import { sendJsonRpcError } from './json-rpc-error.ts';
import { createOpenedTasks } from './opened-tasks.ts';
import { createMcpServer } from './server.ts';
import { createSessions, type SessionBounds } from './sessions.ts';

/** Answers MCP over Streamable HTTP, for clients of 2025-11-25 and before (with sessions) and of 2026-07-28 (without). */
export interface McpEndpoint {
  /** Answers one request, or returns `'unauthenticated'` with nothing written when the token speaks for nobody. */
  handle(
    request: IncomingMessage,
    response: ServerResponse,
    token: string,
    body: string,
  ): Promise<'answered' | 'unauthenticated'>;
  close(): Promise<void>;
}

export interface McpEndpointOptions {
  readonly gateway: Gateway;
  readonly version: string;
  readonly log: Logger;
  /** Seals the cursors of long lists; gateways behind one address have the same. */
  readonly cursorKey: Buffer;
  readonly sessionBounds?: SessionBounds;
}

export function createMcpEndpoint(options: McpEndpointOptions): McpEndpoint {
  const { gateway, version, log } = options;
  const onError = (error: unknown) => log.error({ err: error }, 'the MCP channel failed at something');
  const openedTasks = createOpenedTasks(gateway);
  const sessions = createSessions(gateway, onError, options.sessionBounds);
  const cursors = createCursors(options.cursorKey);
  const deskFor = (caller: Caller): Desk => ({ gateway, caller, openedTasks, sessions, cursors, log });
  const clients = createClientSessions((caller) => createMcpServer(deskFor(caller), version), sessions, onError);
  const callers = new WeakMap<AuthInfo, Caller>();
  const modern = createMcpHandler(
    ({ authInfo }) => {
      const caller = authInfo === undefined ? undefined : callers.get(authInfo);
      if (caller === undefined) throw new Error('a request came here without its caller');
      return createMcpServer(deskFor(caller), version);
    },
    {
      legacy: 'reject',
      maxSubscriptions: 64,
      onerror: (error) => log.debug({ err: error }, 'an MCP request was refused'),
    },
  );
  const answerModern = toNodeHandler(modern, { onerror: onError });

  return {
    async handle(request, response, token, body) {
      const caller = await callerOf(gateway, token);
      if (caller === undefined) return 'unauthenticated';
      if (request.method === 'POST') await post(request, response, { caller, token, body });
      else if (request.method === 'DELETE') await clients.end(request, response, token);
      else
        sendJsonRpcError(response, 405, 'There is no stream of notifications: POST each message.', {
          allow: 'POST, DELETE',
        });
      return 'answered';
    },
    async close() {
      await Promise.all([modern.close(), clients.close()]);
      await sessions.close();
    },
  };

  async function post(
    request: IncomingMessage,
    response: ServerResponse,
    { caller, token, body }: { readonly caller: Caller; readonly token: string; readonly body: string },
  ): Promise<void> {
    const message = parsed(body);
    if (message === undefined) return sendJsonRpcError(response, 400, 'The body is not JSON.', {}, PARSE_ERROR);
    if (await isLegacyRequest(await toWebRequest(asMessage(request), message), message)) {
      return clients.post(request, response, { caller, token, message });
    }
    const authInfo: AuthInfo = { token, clientId: nameOf(caller), scopes: [] };
    callers.set(authInfo, caller);
    await answerModern({ ...asMessage(request), auth: authInfo }, response, message);
  }
}

/** What the SDK reads of a request; its body has been read already. */
function asMessage(request: IncomingMessage): NodeIncomingMessageLike {
  const { method = 'POST', url = '/', headers } = request;
  return { method, url, headers, [Symbol.asyncIterator]: () => request[Symbol.asyncIterator]() };
}

const PARSE_ERROR = -32700;

function parsed(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

function nameOf(caller: Caller): string {
  return caller.caller === 'task' ? caller.task.agent : caller.agent;
}

import { randomUUID } from 'node:crypto';
import type { Readable, Writable } from 'node:stream';
import {
  isInitializeRequest,
  isJSONRPCErrorResponse,
  isJSONRPCRequest,
  isJSONRPCResultResponse,
  type JSONRPCMessage,
  type JSONRPCRequest,
  PROTOCOL_VERSION_META_KEY,
  SdkHttpError,
  StreamableHTTPClientTransport,
  UnauthorizedError,
} from '@modelcontextprotocol/client';
import { StdioServerTransport } from '@modelcontextprotocol/server/stdio';
import { z } from 'zod';

export interface StdioBridgeOptions {
  /** The gateway's MCP endpoint. */
  readonly url: URL;
  readonly token: string;
  readonly input: Readable;
  /** Carries protocol and nothing else. */
  readonly output: Writable;
  /** For people: one line a call. */
  readonly log: (line: string) => void;
  /** Ends the bridge. */
  readonly signal: AbortSignal;
}

interface PendingCall {
  /** Ends the stream on which the answer is to come. */
  readonly stream: AbortController;
  readonly modern: boolean;
}

/**
 * Carries JSON-RPC between a client on stdio and a running gateway over Streamable HTTP, both ways, until the client
 * closes its end. It understands only what the two transports do differently: how a call is cancelled, what a session
 * is, and what to tell a client whose call got no answer. It never sends a call twice that may have reached the gateway.
 */
export async function runStdioBridge(options: StdioBridgeOptions): Promise<void> {
  const { url, log } = options;
  const ended = Promise.withResolvers<void>();
  const stdio = new StdioServerTransport(options.input, options.output);
  const http = new StreamableHTTPClientTransport(url, {
    requestInit: { headers: { authorization: `Bearer ${options.token}` } },
  });
  /** Calls on their way, by the id that the client gave them. */
  const pending = new Map<string | number, PendingCall>();
  /** The client's handshake: repeated when the gateway has forgotten the session. */
  let handshake: JSONRPCRequest | undefined;
  let renewal: { readonly id: string; readonly done: PromiseWithResolvers<void> } | undefined;

  http.onmessage = (message) => {
    if (isJSONRPCResultResponse(message) || isJSONRPCErrorResponse(message)) {
      if (renewal !== undefined && message.id === renewal.id) return renewed(message);
      if (message.id === undefined || !pending.delete(message.id)) return;
      if (message.id === handshake?.id) noteVersion(message);
    }
    toClient(message);
  };
  http.onerror = (error) => log(reasonOf(error, url));
  stdio.onerror = (error) => log(`unreadable message from the client: ${error.message}`);
  stdio.onclose = () => ended.resolve();
  stdio.onmessage = (message) => {
    fromClient(message).catch((error: unknown) => log(reasonOf(error, url)));
  };
  options.signal.addEventListener('abort', () => ended.resolve(), { once: true });

  await http.start();
  await stdio.start();
  await ended.promise;
  for (const { stream } of pending.values()) stream.abort();
  await Promise.race([http.terminateSession().catch(() => log('the session could not be ended')), after(CLOSING_MS)]);
  await http.close();
  await stdio.close();

  async function fromClient(message: JSONRPCMessage): Promise<void> {
    if (isJSONRPCRequest(message)) return call(message);
    const cancelled = CANCELLED.safeParse(message);
    if (cancelled.success) return cancel(cancelled.data.params.requestId, message);
    await http.send(message);
  }

  async function call(request: JSONRPCRequest): Promise<void> {
    if (isInitializeRequest(request)) handshake = request;
    const stream = new AbortController();
    pending.set(request.id, { stream, modern: isModern(request) });
    try {
      await sendRenewing(request, stream.signal);
    } catch (error) {
      if (!stream.signal.aborted) unanswered(request.id, reasonOf(error, url));
    }
  }

  async function sendRenewing(request: JSONRPCRequest, requestSignal: AbortSignal): Promise<void> {
    const send = () =>
      http.send(request, {
        requestSignal,
        onRequestStreamEnd: () => unanswered(request.id, LOST),
      });
    try {
      await send();
    } catch (error) {
      // The gateway refused the message for want of its session, so it has run nothing of it.
      const forgotten = error instanceof SdkHttpError && error.status === 404 && http.sessionId !== undefined;
      if (!forgotten || handshake === undefined || request === handshake) throw error;
      await renew(handshake);
      await send();
    }
  }

  async function renew(first: JSONRPCRequest): Promise<void> {
    if (renewal === undefined) {
      log('the gateway no longer knows this session; beginning a new one');
      const done = Promise.withResolvers<void>();
      renewal = { id: `renewal-${randomUUID()}`, done };
      try {
        await http.send({ ...first, id: renewal.id }, { onRequestStreamEnd: () => done.reject(new Error(LOST)) });
        await done.promise;
        await http.send({ jsonrpc: '2.0', method: 'notifications/initialized' });
      } catch (error) {
        done.promise.catch(() => log('calls that waited for the new session fail'));
        done.reject(error);
        throw error;
      } finally {
        renewal = undefined;
      }
      return;
    }
    await renewal.done.promise;
  }

  function renewed(message: JSONRPCMessage): void {
    if (isJSONRPCErrorResponse(message)) renewal?.done.reject(new Error(message.error.message));
    else renewal?.done.resolve();
  }

  function noteVersion(message: JSONRPCMessage): void {
    const agreed = AGREED.safeParse(message);
    if (agreed.success) http.setProtocolVersion(agreed.data.result.protocolVersion);
  }

  /** A call of 2026-07-28 is cancelled by ending its stream; before that by a message, after which the stream brings nothing more. */
  async function cancel(id: string | number, message: JSONRPCMessage): Promise<void> {
    const cancelled = pending.get(id);
    if (cancelled === undefined) return;
    pending.delete(id);
    if (!cancelled.modern) await http.send(message);
    cancelled.stream.abort();
  }

  function unanswered(id: string | number, message: string): void {
    if (!pending.delete(id)) return;
    log(message);
    toClient({ jsonrpc: '2.0', id, error: { code: SERVER_ERROR, message } });
  }

  function toClient(message: JSONRPCMessage): void {
    stdio.send(message).catch((error: unknown) => {
      log(`the client no longer reads: ${String(error)}`);
      ended.resolve();
    });
  }
}

const SERVER_ERROR = -32000;
const CLOSING_MS = 2_000;
/** With these the request never left; with any other error it may have arrived. */
const NEVER_CONNECTED = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'UND_ERR_CONNECT_TIMEOUT',
]);
const LOST =
  'Countersign: the connection to the gateway ended before the answer came. A write may or may not have taken effect: ask get_status before you repeat it.';

const CANCELLED = z.object({
  method: z.literal('notifications/cancelled'),
  params: z.object({ requestId: z.union([z.string(), z.number()]) }),
});
const AGREED = z.object({ result: z.object({ protocolVersion: z.string() }) });

function isModern(request: JSONRPCRequest): boolean {
  return typeof request.params?._meta?.[PROTOCOL_VERSION_META_KEY] === 'string';
}

/** What went wrong, and what to do about it. Never the token. */
function reasonOf(error: unknown, url: URL): string {
  if (error instanceof UnauthorizedError || (error instanceof SdkHttpError && error.status === 401)) {
    return 'Countersign: the gateway does not accept this token: it is unknown, or its task is over. A person opens a task with `countersign task open`.';
  }
  if (error instanceof SdkHttpError)
    return `Countersign: the gateway answered with HTTP ${error.status}: ${error.message}`;
  if (error instanceof TypeError) {
    if (!NEVER_CONNECTED.has(String((error.cause as { readonly code?: unknown } | undefined)?.code))) return LOST;
    const cause = error.cause instanceof Error ? ` (${error.cause.message || error.cause.name})` : '';
    return `Countersign: no gateway can be reached at ${url.href}${cause}. Is \`countersign serve\` running there?`;
  }
  return `Countersign: ${error instanceof Error ? error.message : String(error)}`;
}

function after(delayMs: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, delayMs).unref());
}

import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import fastify, { type FastifyError, type FastifyInstance } from 'fastify';
import type { Logger } from 'pino';
import type { Identity } from '../../identity/identity.ts';
import type { Gateway } from '../../pipeline/gateway.ts';
import { bearerOf, challengeFor } from './bearer.ts';
import { createClientAddress } from './client-address.ts';
import { type ConsoleParts, serveConsole } from './console/serve-console.ts';
import { type Needs, serveHealth } from './health.ts';
import { sendError } from './http-error.ts';
import { type MetricsPage, serveMetrics } from './metrics-route.ts';
import { serveOidc } from './oidc-routes.ts';
import { checkOrigin } from './origin-check.ts';
import { servePasskeys } from './passkey-routes.ts';
import { createPersonGuard } from './person-session.ts';
import { type ReceiveApproval, servePlans } from './plan-routes.ts';
import { metadataParameter, type ProtectedResource, serveResourceMetadata } from './resource-metadata.ts';
import { serveSessions } from './session-routes.ts';
import { createSignInRoute } from './sign-in-route.ts';
import { type ReceiveCallback, serveSlack } from './slack-route.ts';
import { createNeedsStepUp, serveStepUp } from './step-up-routes.ts';
import { serveVerdicts } from './verdict-routes.ts';

export interface HttpOptions {
  readonly host: string;
  /** 0 takes any free one. */
  readonly port: number;
  /** Names other than the loopback's and `host` under which this server is reached. */
  readonly hostnames?: readonly string[];
  /** Where browsers reach this server, when that is not where it listens. */
  readonly publicUrl?: string;
  readonly gateway: Gateway;
  /** Left out where people have nothing to sign in to. */
  readonly identity?: Identity;
  /** What people see and do in the console; it takes somebody who is signed in. */
  readonly console?: ConsoleParts;
  readonly receiveApproval: ReceiveApproval;
  /** What Slack calls back with; left out where it never does. */
  readonly receiveCallback?: ReceiveCallback;
  /** Who is believed when they say whom a request comes from; nobody where left out. */
  readonly proxies?: readonly string[];
  /** Who issues tokens for `/mcp`, besides the gateway itself; `undefined` where nobody does. */
  readonly resource?: () => ProtectedResource | undefined;
  /** What answers `/mcp`. */
  readonly mcp: MountedChannel;
  readonly needs: Needs;
  readonly metrics?: MetricsPage;
  /** Carries what a request asks for in the trace that its headers name. */
  readonly within?: (request: { readonly headers: IncomingMessage['headers'] }, work: () => void) => void;
  readonly version: string;
  readonly log: Logger;
}

/** Another channel that lives under a path of this server and writes its own answers. */
export interface MountedChannel {
  /**
   * Answers one request, whose body has been read but not parsed. Returns `'unauthenticated'`, with nothing written,
   * when the token speaks for nobody.
   */
  handle(request: IncomingMessage, response: ServerResponse, token: string, body: string): Promise<Handled>;
  close(): Promise<void>;
}
export type Handled = 'answered' | 'unauthenticated';

export interface HttpServer {
  readonly address: AddressInfo;
  /** Without a slash at the end. */
  readonly url: string;
  /** Takes no more connections, lets what runs end, and cuts off what still runs after `graceMs`. */
  close(graceMs: number): Promise<void>;
}

const BODY_LIMIT_BYTES = 1024 * 1024;
const MAX_CONNECTIONS = 2048;
/** How long a request may take to arrive. Answers may take as long as the statement: the task's own time-out ends it. */
const REQUEST_TIMEOUT_MS = 30_000;
const KEEP_ALIVE_MS = 65_000;

/**
 * Starts the HTTP server of the gateway.
 *
 * @throws when the address can't be listened on.
 */
export async function startHttp(options: HttpOptions): Promise<HttpServer> {
  const app = fastify({
    bodyLimit: BODY_LIMIT_BYTES,
    requestTimeout: REQUEST_TIMEOUT_MS,
    keepAliveTimeout: KEEP_ALIVE_MS,
    forceCloseConnections: 'idle',
    return503OnClosing: true,
    trustProxy: false,
    routerOptions: { ignoreTrailingSlash: false, maxParamLength: 128 },
  });
  app.server.headersTimeout = REQUEST_TIMEOUT_MS / 2;
  app.server.maxConnections = MAX_CONNECTIONS;
  addSecurityHeaders(app);
  const ownNames = isWildcard(options.host) ? [] : [options.host];
  checkOrigin(app, [...ownNames, ...(options.hostnames ?? [])].map(asHostname));
  const { within } = options;
  // Not before the body has been read: what is carried in its own time leaves the trace.
  if (within !== undefined) app.addHook('preHandler', (request, _reply, done) => within(request, done));
  answerErrors(app, options.log);
  serveHealth(app, options.version, options.needs);
  if (options.metrics !== undefined) serveMetrics(app, options.metrics);
  servePlans(app, options.gateway, options.receiveApproval);
  if (options.receiveCallback !== undefined) await serveSlack(app, options.receiveCallback, options.log);
  const { identity, publicUrl } = options;
  if (identity !== undefined) {
    const guard = createPersonGuard({ ...identity, publicUrl });
    const clientAddress = createClientAddress(options.proxies ?? []);
    const signIn = createSignInRoute({ identity, publicUrl, clientAddress });
    const needsStepUp = createNeedsStepUp(identity);
    const parts = { identity, guard, needsStepUp, signIn, publicUrl, clientAddress, gateway: options.gateway };
    serveSessions(app, parts);
    servePasskeys(app, parts);
    serveVerdicts(app, parts);
    serveStepUp(app, parts);
    serveOidc(app, parts);
    if (options.console !== undefined) serveConsole(app, { ...parts, ...options.console, log: options.log });
  }
  const resource = options.resource ?? (() => undefined);
  serveResourceMetadata(app, resource);
  await mount(app, '/mcp', options.mcp, { log: options.log, challenge: () => metadataParameter(resource()) });

  await app.listen({ host: options.host, port: options.port });
  const address = app.server.address();
  if (address === null || typeof address === 'string') throw new Error('the server listens on no port');
  return {
    address,
    url: `http://${asHostname(isWildcard(options.host) ? '127.0.0.1' : address.address)}:${address.port}`,
    close: (graceMs) => close(app, options.mcp, graceMs),
  };
}

async function close(app: FastifyInstance, mcp: MountedChannel, graceMs: number): Promise<void> {
  const cut = setTimeout(() => app.server.closeAllConnections(), graceMs);
  try {
    await app.close();
  } finally {
    clearTimeout(cut);
    await mcp.close();
  }
}

/** Brackets around an IPv6 address, as it stands in a URL. */
function asHostname(host: string): string {
  return host.includes(':') && !host.startsWith('[') ? `[${host}]` : host;
}

function isWildcard(host: string): boolean {
  return host === '0.0.0.0' || host === '::';
}

function addSecurityHeaders(app: FastifyInstance): void {
  app.addHook('onRequest', async (_request, reply) => {
    // On the response itself: a mounted channel writes its own head.
    for (const [name, value] of SECURITY_HEADERS) reply.raw.setHeader(name, value);
  });
}

const SECURITY_HEADERS = [
  ['content-security-policy', "default-src 'none'; frame-ancestors 'none'"],
  ['x-content-type-options', 'nosniff'],
  ['x-frame-options', 'DENY'],
  ['referrer-policy', 'no-referrer'],
  ['cross-origin-resource-policy', 'same-origin'],
  ['cache-control', 'no-store'],
] as const;

function answerErrors(app: FastifyInstance, log: Logger): void {
  app.setNotFoundHandler((request, reply) =>
    sendError(reply, 404, {
      code: 'not_found',
      message: `There is no ${request.method} ${request.url.slice(0, 100)} here.`,
      hint: 'There are the console at /, /healthz, /readyz, /metrics, /mcp, /api (docs/console.md, docs/identity.md), /v1/plans/:id and /v1/plans/:id/approvals.',
    }),
  );
  app.setErrorHandler((error: FastifyError, request, reply) => {
    const status = error.statusCode ?? 500;
    if (status < 500) {
      return sendError(reply, status, {
        code: 'bad_request',
        message: error.message,
        hint: `Bodies are JSON (\`content-type: application/json\`) of at most ${BODY_LIMIT_BYTES} bytes.`,
      });
    }
    log.error({ err: error, method: request.method, route: request.routeOptions.url }, 'an HTTP request failed');
    return sendError(reply, 500, {
      code: 'internal',
      message: 'The gateway failed to answer; nothing more is known here.',
      hint: 'The gateway’s log says what happened. Ask for the state of things before you try again.',
    });
  });
}

async function mount(
  app: FastifyInstance,
  path: string,
  channel: MountedChannel,
  { log, challenge }: { readonly log: Logger; readonly challenge: () => string },
): Promise<void> {
  await app.register(async (scope) => {
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser(
      'application/json',
      { parseAs: 'string' },
      async (_request: unknown, body: string) => body,
    );
    scope.route({
      method: ['GET', 'POST', 'DELETE'],
      url: path,
      handler: async (request, reply) => {
        const bearer = bearerOf(request.headers);
        if (bearer.bearer === 'token') {
          const body = typeof request.body === 'string' ? request.body : '';
          const handled = await channel.handle(request.raw, reply.raw, bearer.token, body);
          if (handled === 'answered') return reply.hijack();
        }
        log.info({ remote: request.ip, path }, 'a request without a valid token was turned away');
        return sendError(reply.header('www-authenticate', `${challengeFor(bearer)}${challenge()}`), 401, {
          code: 'unauthenticated',
          message: bearer.bearer === 'none' ? 'This needs a token.' : 'This token is unknown, or its task is over.',
          hint: 'A person opens a task with `countersign task open`; send its token as `Authorization: Bearer …`.',
        });
      },
    });
  });
}

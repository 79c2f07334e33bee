import { randomBytes } from 'node:crypto';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import type { ScramVerifier } from '../../domain/scram.ts';
import type { Log } from '../../pipeline/proof.ts';
import { authenticate } from './authentication.ts';
import { type CancelKey, createCancelKeys, issuerOf } from './cancel-keys.ts';
import { createEncryption, type EncryptionOptions } from './encryption.ts';
import { createFailedLogins } from './failed-logins.ts';
import { destroyAfter, farewell } from './farewell.ts';
import { AUTHENTICATION_OK, fatal, fatalRefusal } from './messages.ts';
import { readStartup, type SessionStartup, type WireProtocol } from './startup.ts';
import { type StartupSetting, startupSettings } from './startup-parameters.ts';

/** An authenticated client. AuthenticationOk was sent; parameters, the cancel key and ReadyForQuery are the session's to send. */
export interface WireConnection {
  /** Flows as soon as somebody listens to it. */
  readonly socket: Socket;
  /** Bytes that came after the authentication: they go before what the socket gives. */
  readonly rest: Buffer;
  /** The task, which is authenticated. */
  readonly user: string;
  /** The target, as the client named it: not checked yet. */
  readonly database: string;
  readonly settings: readonly StartupSetting[];
  readonly protocol: WireProtocol;
  readonly keys: CancelKey;
  readonly remoteAddress: string;
  /** Aborted when the listener closes: the session then ends as soon as it can. */
  readonly closing: AbortSignal;
}

export interface PgwireOptions {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  readonly tls?: EncryptionOptions;
  /** What a user's token is checked with; `undefined` for an unknown user. When it throws, nobody is let in. */
  readonly authenticate: (user: string) => Promise<ScramVerifier | undefined>;
  /** Carries a session to its end. When it resolves the socket is closed in order, when it rejects at once. */
  readonly onSession: (connection: WireConnection) => Promise<void>;
  /** Set when several processes of the gateway listen on this port. */
  readonly shared?: {
    /** Which of them this is. */
    readonly issuer: number;
    /** Hands on a cancel request whose key another of them issued. */
    readonly cancel: (issuer: number, processId: number, secret: Buffer) => void;
  };
  /** A client that knows the key asks to cancel what the session with this process id runs. */
  readonly onCancel: (processId: number) => void | Promise<void>;
  readonly limits: { readonly maxConnections: number; readonly startupTimeoutMs: number };
  readonly log: Log;
  /**
   * What is shown for users who don't exist derives from it. One that nodes share, and that outlives them, keeps an
   * observer from telling them apart over restarts; random when absent.
   */
  readonly mockSecret?: Uint8Array;
}

export interface PgwireListener {
  readonly address: { readonly host: string; readonly port: number };
  /** A cancel request that came in at another process. */
  cancel(processId: number, secret: Buffer): void;
  /** Accepts nobody any more, tells the sessions, and cuts off those that are not over within `graceMs`. */
  close(graceMs: number): Promise<void>;
}

const KEEP_ALIVE_MS = 30_000;
/** How many may be at their start-up beyond what may be connected: cancel requests must get through when all is full. */
const STARTING_UP = 64;
/** How long a client that has said that nothing more will come may take to read what is still to be sent. */
const HALF_OPEN_MS = 5000;
/** A name that nobody has authenticated may be anything: a token, too, in the wrong place. */
const LOGGABLE = /^[a-z]+_[0-9a-f]{1,32}$/;

/**
 * Listens for PostgreSQL clients, brings each through start-up and authentication, and hands on those that passed.
 *
 * @throws when the address can't be listened on, or the certificate can't be used.
 */
export async function listenPgwire(options: PgwireOptions): Promise<PgwireListener> {
  const { limits, log } = options;
  const encryption = options.tls === undefined ? undefined : createEncryption(options.tls);
  const mockSecret = options.mockSecret ?? randomBytes(32);
  const keys = createCancelKeys(options.shared?.issuer);
  const failedLogins = createFailedLogins(() => performance.now());
  /** In the order they came: when too many are at their start-up, the one that took longest makes room. */
  const starting = new Set<Socket>();
  const sessions = new Map<Socket, AbortController>();
  let closing = false;

  const server = createServer({ noDelay: true, keepAlive: true, keepAliveInitialDelay: KEEP_ALIVE_MS });
  server.on('connection', (socket) => {
    const address = socket.remoteAddress ?? 'unknown';
    watch(socket, address);
    start(socket, address).catch((error: unknown) => {
      log.error({ address, err: error }, 'a client connection was dropped by a fault');
      socket.destroy();
    });
  });

  function watch(socket: Socket, address: string): void {
    socket.on('error', (error) => log.info({ address, why: error.message }, 'a client connection broke'));
    socket.on('end', () => destroyAfter(socket, HALF_OPEN_MS));
  }

  async function start(raw: Socket, address: string): Promise<void> {
    starting.add(raw);
    for (const oldest of starting) {
      if (starting.size <= limits.maxConnections + STARTING_UP) break;
      starting.delete(oldest);
      oldest.destroy();
    }
    const deadline = setTimeout(() => raw.destroy(), limits.startupTimeoutMs);
    let introduced: Introduced | null;
    try {
      introduced = await introduce(raw, address);
    } finally {
      clearTimeout(deadline);
      starting.delete(raw);
    }
    if (introduced !== null) await carry(introduced);
  }

  /** Start-up and authentication; `null` when there is nobody to carry, the connection then being closed. */
  async function introduce(raw: Socket, address: string): Promise<Introduced | null> {
    const startup = await readStartup(raw, encryption);
    if (startup.kind === 'cancel') {
      await cancel(startup.processId, startup.secret, address);
      return refuse(startup.socket);
    }
    const { socket } = startup;
    if (socket !== raw) watch(socket, address);
    if (startup.kind === 'closed') {
      log.info({ address, why: startup.why }, 'a client did not start up');
      return refuse(socket, startup.refusal);
    }
    const full = noRoom();
    if (full !== null) return refuse(socket, full);
    const asked = startupSettings(startup.parameters);
    if ('refused' in asked) return refuse(socket, fatalRefusal(asked.refused));
    return admit(startup, asked.settings, address);
  }

  async function admit(
    { socket, user, database, protocol, rest: unread }: SessionStartup,
    settings: readonly StartupSetting[],
    address: string,
  ): Promise<Introduced | null> {
    const authentication = await authenticate({
      socket,
      rest: unread,
      user,
      endPoint: encryption?.endPoint,
      verifierOf: options.authenticate,
      mockSecret,
    });
    if (!authentication.authenticated) {
      const task = LOGGABLE.test(user) ? user : 'no task’s id';
      log.warn({ address, task, why: authentication.why }, 'a client was not authenticated');
      if (authentication.penalty && !(await failedLogins.wait(socket, address))) socket.destroy();
      return refuse(socket, authentication.refusal);
    }
    // Asked again: others came in meanwhile.
    const full = noRoom();
    if (full !== null) return refuse(socket, full);
    if (socket.destroyed) return null;
    socket.write(AUTHENTICATION_OK);
    const tls = socket instanceof TLSSocket ? socket.getProtocol() : null;
    log.info({ address, task: user, target: database, tls }, 'a client connected');
    const { rest } = authentication;
    const ending = new AbortController();
    sessions.set(socket, ending);
    return {
      socket,
      rest,
      user,
      database,
      settings,
      protocol,
      keys: keys.issue(protocol),
      remoteAddress: address,
      ending,
    };
  }

  async function carry({ ending, ...introduced }: Introduced): Promise<void> {
    const { socket, user, keys: issued } = introduced;
    try {
      await options.onSession({ ...introduced, closing: ending.signal });
      farewell(socket);
    } catch (error) {
      log.error({ task: user, err: error }, 'a session ended by a fault');
      socket.destroy();
    } finally {
      keys.revoke(issued.processId);
      sessions.delete(socket);
    }
  }

  /** Never answered, whether there was something to cancel or not (PostgreSQL, "Canceling Requests in Progress"). */
  async function cancel(processId: number, secret: Buffer, address: string): Promise<void> {
    const { shared } = options;
    if (keys.matches(processId, secret)) await options.onCancel(processId);
    else if (shared !== undefined && issuerOf(processId) !== shared.issuer)
      shared.cancel(issuerOf(processId), processId, secret);
    else log.warn({ address }, 'a cancel request had no valid key');
  }

  function noRoom(): Buffer | null {
    if (closing) {
      return fatal({ sqlstate: '57P03', message: 'the gateway is shutting down', hint: 'Connect again later.' });
    }
    if (sessions.size < limits.maxConnections) return null;
    return fatal({
      sqlstate: '53300',
      message: 'too many clients are connected to the gateway already',
      hint: `At most ${limits.maxConnections} may be; try again when one has left.`,
    });
  }

  function refuse(socket: Socket, word?: Buffer): null {
    farewell(socket, word);
    return null;
  }

  const address = await bind(server, options);
  server.on('error', (error) => log.error({ err: error }, 'the listener for PostgreSQL clients failed'));

  return {
    address: { host: address.address, port: address.port },
    cancel(processId, secret) {
      if (!keys.matches(processId, secret)) return;
      Promise.resolve(options.onCancel(processId)).catch((error: unknown) =>
        log.error({ err: error }, 'a cancel request could not be carried out'),
      );
    },
    async close(graceMs) {
      closing = true;
      const stopped = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const socket of starting) socket.destroy();
      for (const ending of sessions.values()) ending.abort();
      const cut = setTimeout(() => {
        log.warn({ sessions: sessions.size }, 'sessions were cut off at shutdown');
        for (const socket of sessions.keys()) socket.destroy();
      }, graceMs);
      await stopped;
      clearTimeout(cut);
    },
  };
}

interface Introduced extends Omit<WireConnection, 'closing'> {
  readonly ending: AbortController;
}

function bind(server: Server, { host, port, shared }: PgwireOptions): Promise<AddressInfo> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host, port, reusePort: shared !== undefined }, () => {
      server.off('error', reject);
      const address = server.address();
      if (address === null || typeof address === 'string') reject(new Error('the listener has no address'));
      else resolve(address);
    });
  });
}

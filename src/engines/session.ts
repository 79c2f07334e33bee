import type { DatabaseFailure } from '../domain/database-failure.ts';

/**
 * One connection to a target that carries an actor's statements, in the engine's own protocol. It runs under a profile
 * login, so that the database itself holds the task's radius (G1). One exchange at a time.
 */
export interface EngineSession {
  /** The server's process, for messages and for stopping it. */
  readonly processId: number;
  /** What the server reported of itself at start-up (`server_version`, `TimeZone` …), kept current. */
  readonly parameters: ReadonlyMap<string, string>;
  /** As the last reply said: idle, in a transaction, in a failed transaction. */
  readonly transaction: TransactionStatus;
  readonly closed: boolean;
  /** How often the gateway's own statements ran: each time the server forgets the unnamed statement and portal. */
  readonly ownRuns: number;

  /**
   * Runs the gateway's own statements, each a message of its own and all in one write; the actor sees nothing of it.
   * Returns the result of each. On the first failure the later ones still ran or failed on their own.
   *
   * @throws EngineFailure for the first that failed; SessionLost when the connection is gone.
   */
  own(...statements: readonly string[]): Promise<readonly OwnResult[]>;

  /** Runs one query of the gateway's own with values bound in the actor's format; answers in text form. */
  ownBound(text: string, values: readonly BoundValue[]): Promise<OwnResult>;

  /**
   * Sends an actor's frames and hands what comes back to the sink until every expected reply is there.
   * Back-pressure: while the sink is full, nothing more is read from the server.
   *
   * @param more.instead what the actor is told in place of an error that the gateway itself has caused.
   * @throws SessionLost when the connection ends first.
   */
  relay(
    frames: readonly Buffer[],
    replies: readonly ExpectedReply[],
    sink: ReplySink,
    more?: {
      readonly instead?: (failure: DatabaseFailure) => DatabaseFailure | undefined;
    } & Supply,
  ): Promise<Relayed>;

  /** Asks the server to cancel what runs, by the cancel protocol. Resolves when the request was delivered. */
  cancel(): Promise<void>;
  /** Ends the connection at once, whatever runs. */
  destroy(): void;
  /** Ends it in order. */
  close(): Promise<void>;
  /** Called once when the connection ends by itself, with the server's reason where it gave one. */
  onLost(listener: (reason: DatabaseFailure | Error) => void): void;
  /** What channels that were listened to are told, as whole messages; it can come at any time. */
  onNotification(listener: (message: Buffer) => void): void;
}

export type TransactionStatus = 'idle' | 'open' | 'failed';

export interface OwnResult {
  readonly command: string;
  readonly rows: readonly (readonly (string | null)[])[];
}

export interface BoundValue {
  /** Oid of the parameter's type; 0 leaves it to the server. */
  readonly type: number;
  readonly format: 'text' | 'binary';
  readonly value: Buffer | null;
}

/** What one forwarded message is answered by. `hidden` replies are the gateway's own and don't reach the sink; errors do. */
export interface ExpectedReply {
  readonly to: 'query' | 'parse' | 'bind' | 'describe statement' | 'describe portal' | 'execute' | 'close' | 'sync';
  readonly hidden?: boolean;
  /** Where in what the actor has sent a position in the statement lies: errors point into the whole text. */
  readonly positionIn?: (position: number) => number;
  /** For `describe statement`: told the parameters' types when they come. */
  readonly onParameterTypes?: (types: readonly number[]) => void;
  /** For `parse` and `close`: the server knows the statement now, or no longer. */
  readonly onDone?: () => void;
}

/** Where replies go: whole frames or pieces of big ones, in order. ReadyForQuery never comes: the caller says when the actor may go on. */
export interface ReplySink {
  /** Returns false when full; `drained` then resolves when more may come. */
  write(chunk: Buffer): boolean;
  drained(): Promise<void>;
}

/** Where the rows of a COPY … FROM STDIN come from: the actor's client. */
export interface CopySource {
  /** The client's own sink, past whatever holds replies back. */
  readonly sink: ReplySink;
  /** The server asks for rows, as `response` tells the client: they are to be handed to the target until they end. */
  start(response: Buffer, target: CopyTarget): void;
  /** The copy is over, well or not: resolves when nothing more will be written. @param failure what it failed by, if it did. */
  stop(failure: DatabaseFailure | null): Promise<void>;
}

/** What an actor sends while an exchange is under way. */
export interface Supply {
  /** Where the rows of a COPY … FROM STDIN come from; without it the server is told that none will come. */
  readonly rows?: CopySource | undefined;
  /**
   * A last message that is too long for one piece: sent as it comes, and a Flush after it. When it breaks off, the
   * connection is half-way in a message and is ended.
   */
  readonly piecemeal?: AsyncIterable<Buffer> | undefined;
}

export interface CopyTarget {
  /** Takes whole messages; what comes after the copy is over is dropped. False when full. */
  write(frames: Buffer): boolean;
  drained(): Promise<void>;
}

export interface Relayed {
  /** The command tags that came, in order, e.g. `UPDATE 3`. */
  readonly commands: readonly string[];
  /** The database's error, already handed to the sink; replies to messages after it did not come. */
  readonly failure: DatabaseFailure | null;
}

export class EngineFailure extends Error {
  readonly failure: DatabaseFailure;
  constructor(failure: DatabaseFailure) {
    super(failure.message);
    this.name = 'EngineFailure';
    this.failure = failure;
  }
}

export class SessionLost extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'SessionLost';
  }
}

import type { Analysis, SessionAct, TransactionAct } from '../domain/effect.ts';
import type { Channel } from '../domain/intent.ts';
import type { Refusal } from '../domain/refusal.ts';
import type { Task } from '../domain/task.ts';
import type { ProfileLogins } from '../engines/engine.ts';
import type {
  EngineSession,
  ExpectedReply,
  Relayed,
  ReplySink,
  Supply,
  TransactionStatus,
} from '../engines/session.ts';
import type { Connections } from '../execution/connections.ts';
import type { PreparedStatement } from '../execution/prepared-statements.ts';
import type { WrittenStatement } from '../execution/transaction.ts';
import type { Ahead } from './ahead.ts';
import type { Gathering } from './gathering.ts';
import type { Judgement } from './judge.ts';
import type { Outcome } from './outcome.ts';
import type { Watch } from './watch.ts';

/**
 * One actor's session on one target: where the way of a statement meets the connections it travels on. A channel asks
 * it, in this order, for every statement: `judge`, `enter`, `relay`; and `settle` at the end of each batch (a Query
 * message, or all up to a Sync).
 */
export interface ActorSession {
  readonly task: Task;
  readonly channel: Channel;
  readonly transaction: TransactionStatus;
  readonly connections: Connections;
  /** Who waits for what runs now, where a channel can say so. */
  watch: Watch | undefined;

  /** Why nothing may run now (halted, expired, closed), or `undefined`. */
  standing(): Refusal | undefined;
  /** What is to become of a statement. Cached; no I/O. */
  judge(text: string, ahead?: Ahead): Judgement;
  /** Whether a statement, where it runs now, could change anything: then it is noted, and measured. */
  mayWrite(judgement: Judgement): boolean;
  /** The connection on which a judged statement runs, in the transaction it needs. */
  enter(judgement: Runnable): EngineSession | Promise<EngineSession>;
  /** It is in a transaction that nobody but the gateway has begun. */
  readonly inBlock: boolean;
  /** Several statements of one text are one transaction: begins it, where none is open. @param rest what comes of the text. */
  beginBlock(rest: readonly Judgement[]): Promise<void>;
  /** Whether entering begins or ends a transaction: then no message of the actor's may be half-way. */
  mustBegin(judgement: Runnable): boolean;
  /** What the actor has prepared, by name. */
  readonly prepared: Map<string, PreparedStatement>;
  /**
   * Makes sure that the connection knows what an EXECUTE names. False when the database refused it: the sink was told, and
   * the batch has failed.
   */
  ready(judgement: Runnable, connection: EngineSession, sink: ReplySink): boolean | Promise<boolean>;
  /** The connection on which a statement is prepared or described, outside of what running it would need. */
  connectionFor(judgement: Judgement | null): EngineSession | Promise<EngineSession>;
  /** Where its replies go: held back while they depend on a commit that is still to be measured. */
  output(sink: ReplySink): ReplySink;
  /** Notes a write that is about to run, so that it can be measured and, if need be, planned. */
  note(write: WrittenStatement): void;
  /** Changes of definitions that wait for the COMMIT of the actor's own transaction. */
  readonly gathering: Gathering;
  /** What the open transaction wrote can't be planned: settings changed in between. */
  readonly mixesSettings: boolean;
  /** Undoes what the actor's open transaction did and lets its locks go: a dry run of it must not wait for them. */
  takeBack(): Promise<void>;
  /** Writes of the open transaction that are not committed yet, those that were gathered among them. */
  readonly pendingWrites: readonly WrittenStatement[];
  /** The settings under which a statement sent now would be understood. */
  settings(): readonly { readonly name: string; readonly value: string }[];
  /** Sends frames and hands the replies to the sink; stops it in time (G11). */
  relay(
    connection: EngineSession,
    frames: readonly Buffer[],
    replies: readonly ExpectedReply[],
    sink: ReplySink,
    supply?: Supply,
  ): Promise<Relayed>;
  /** Carries SET and its kin, and keeps the session's connections alike. */
  adopt(act: SessionAct, connection: EngineSession, carry: () => Promise<Relayed>): Promise<Outcome>;
  /** Carries BEGIN, COMMIT and their kin. COMMIT measures first. */
  transact(act: TransactionAct, carry: CarryTransaction, sink: ReplySink): Promise<Outcome>;
  /** Ends the batch: an implicit transaction is measured and committed, or undone. */
  settle(sink: ReplySink): Promise<Outcome>;
  /** The database refused a statement: nothing more of this batch may run. */
  noteFailure(): void;
  readonly failedInBatch: boolean;
  /** Takes note of a read that ran. */
  noteRead(analysis: Analysis): void;
  /** Brings an open explicit transaction into the failed state after a refusal, as PostgreSQL does after an error. */
  fail(): Promise<void>;

  /** What channels that it listens to are told: whole messages, at any time. None comes while the session is stopped. */
  onNotification(listener: (message: Buffer) => void): void;
  /** Makes a setting that came with the start-up. @throws EngineFailure when the database doesn't take it. */
  preset(name: string, value: string): Promise<void>;
  /**
   * From the next statement on the session runs under these logins. The connections on which it holds cursors or listens
   * stay open beside, for just that.
   */
  renew(logins: ProfileLogins): Promise<void>;
  cancel(): Promise<void>;
  /** Stops what runs and refuses what comes, until `resume`. */
  stop(reason: Refusal): Promise<void>;
  /** Lets end what runs and refuses what comes, until `resume`. */
  refuse(reason: Refusal): void;
  resume(): void;
  /** Stops for good. */
  end(reason: Refusal): Promise<void>;
  close(): Promise<void>;
}

/** Judgements that end in frames being sent. */
export type Runnable = Extract<Judgement, { verdict: 'run' | 'session' | 'transaction' }>;

/** How to send the actor's own frames on a connection. */
export type CarryTransaction = (connection: EngineSession, sink: ReplySink) => Promise<Relayed>;

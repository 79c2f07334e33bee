import type { Compilable } from 'kysely';
import { type Refusal, RefusalError } from '../domain/refusal.ts';
import type { Write } from './write.ts';

/** Looks at the state. */
export interface Reader {
  all<Row>(query: Compilable<Row>): Promise<Row[]>;
  first<Row>(query: Compilable<Row>): Promise<Row | undefined>;
}

/** The state of Countersign: tasks, plans, approvals, halts, and the ledger's tree. Several processes may have it open. */
export interface Store extends Reader {
  /** How it is called in messages: never with a secret. */
  readonly name: string;
  /** The file that holds the newest checkpoint of the ledger which this machine knows. */
  readonly checkpointFile: string;
  /** For how long a process may go on without having heard from it; `null` where nothing can come in between. */
  readonly leaseMs: number | null;
  /**
   * Executes all writes in one durable transaction, or none.
   *
   * @returns the index of the first write that changed another number of rows than it expects or broke a constraint, or
   * `null` when all did what they should.
   * @throws StoreUnavailable when it can't be written (disk full, locked by another process for too long, gone).
   * StoreUncertain when nobody can tell now whether it was.
   */
  commit(writes: readonly Write[]): Promise<number | null>;
  /**
   * The same for writes that build upon the end of the ledger: made when it is this process' turn, with what to look at
   * it by. A store that gives no turns calls at once and with `null`; then a guard on the head finds out who came first.
   */
  append(prepare: (turn: Reader | null) => Promise<readonly Write[]>): Promise<number | null>;
  /** The time by which it is told who lives: one clock for all processes. */
  nowMs(): Promise<number>;
  /** Called soon after another process has changed the state, or when that can't be excluded. */
  onChange(listener: () => void): void;
  close(): Promise<void>;
}

/** How a store is opened. */
export interface StoreOptions {
  readonly readOnly?: boolean;
  /** The process has nothing else to do while the disk writes: a command, and no gateway. */
  readonly mayWait?: boolean;
}

/** What an actor is told of it: nothing of where the store lies. */
export const STATE_UNAVAILABLE: Refusal = {
  refused: 'unavailable',
  message: 'The state store can’t be used now, so this was not brought to its end.',
  hint: 'What was under way is found out and recorded when the store answers. Ask for its state before sending it again.',
};

/** Answered as a refusal wherever it comes up; its own message is for the log and for whoever runs a command. */
export class StoreUnavailable extends RefusalError {
  constructor(message: string, options?: ErrorOptions) {
    super(STATE_UNAVAILABLE, options);
    this.name = 'StoreUnavailable';
    this.message = message;
  }
}

/** The answer to COMMIT was lost, and the store doesn't answer what became of it: it may never be repeated blindly. */
export class StoreUncertain extends StoreUnavailable {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'StoreUncertain';
  }
}

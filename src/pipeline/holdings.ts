import { changesMeaning } from '../analysis/settings.ts';
import type { Analysis, SessionAct } from '../domain/effect.ts';
import { quoteIdentifier, quoteLiteral } from '../engines/postgres/quote.ts';
import { errorResponse } from '../engines/postgres/wire-messages.ts';
import type { EngineSession, Relayed, ReplySink } from '../engines/session.ts';
import type { Connections, Setting } from '../execution/connections.ts';
import { type PreparedStatement, prepareOn } from '../execution/prepared-statements.ts';
import type { Transaction } from '../execution/transaction.ts';
import type { SettingAhead } from './ahead.ts';

/**
 * What an actor's session holds in the database from one statement to the next: settings, prepared statements, cursors
 * WITH HOLD, channels that it listens to, advisory locks. The actor has one session, the gateway several connections: they are kept alike,
 * and what is on one of them only is found again there.
 */
export interface Holdings {
  readonly prepared: Map<string, PreparedStatement>;
  /** The settings under which a statement sent now would be understood. */
  settings(ahead?: readonly SettingAhead[]): readonly { readonly name: string; readonly value: string }[];
  preset(name: string, value: string): Promise<void>;
  /** The connection on which an act must run, because what it names is there. */
  place(act: SessionAct): EngineSession | Promise<EngineSession> | undefined;
  /** Carries SET and its kin, and keeps the session's connections alike. */
  adopt(act: SessionAct, made: EngineSession, carry: () => Promise<Relayed>): Promise<Relayed>;
  /** Settings that a transaction made hold from its commit on. */
  committed(transaction: Transaction, connection: EngineSession): Promise<void>;
  /** Settings made after a savepoint went with it, and only the server knows which. */
  rolledBackTo(): Promise<void>;
  /** Makes sure that the connection knows what an EXECUTE names. False when the database refused it, as the sink was told. */
  ready(analysis: Analysis, connection: EngineSession, sink: ReplySink): boolean | Promise<boolean>;
  /** A statement runs that leaves a cursor behind. */
  noteCursor(name: string, connection: EngineSession): void;
  /** Connections with which something of the actor's would be lost. */
  heldOn(): ReadonlySet<EngineSession>;
  /** Whether one more cursor may be held. */
  hasRoomFor(cursor: string): boolean;
  /** Whether it may hold this advisory lock besides those it holds. */
  mayLock(key: string): boolean;
}

/** Each keeps its rows in the database until it is closed. */
export const MAX_HELD_CURSORS = 16;
/** They lie in a table that all sessions of the server share. */
export const MAX_ADVISORY_LOCKS = 16;

export function createHoldings(deps: {
  readonly connections: Connections;
  readonly transaction: () => Transaction | null;
  /** The connection on which the open transaction is. */
  readonly current: () => EngineSession | undefined;
}): Holdings {
  const { connections } = deps;
  let keptOf: ReturnType<Connections['settings']> = [];
  let kept: ReturnType<Connections['settings']> = keptOf;
  const prepared = new Map<string, PreparedStatement>();
  const cursors = new Map<string, EngineSession>();
  const channels = new Map<string, EngineSession>();
  /** Advisory locks by key, and how often each was asked for: too many rather than too few. */
  const locks = new Map<string, number>();

  async function elsewhere(made: EngineSession, sql: string): Promise<void> {
    for (const connection of connections.all()) {
      if (connection !== made && !connection.closed) await connection.own(sql);
    }
  }

  /** What is gone on one connection is gone for the actor. @param name `null` is all. */
  async function deallocate(name: string | null, made: EngineSession): Promise<void> {
    const gone = [...prepared.values()].filter((statement) => name === null || statement.name === name);
    for (const statement of gone) {
      prepared.delete(statement.name);
      for (const connection of statement.on.keys()) {
        if (connection !== made && !connection.closed)
          await connection.own(`DEALLOCATE ${quoteIdentifier(statement.name)}`);
      }
    }
  }

  async function set(act: Extract<SessionAct, { act: 'set' }>, made: EngineSession): Promise<void> {
    const transaction = deps.transaction();
    const setting = settingOf(act.name, act.value);
    if (act.local) transaction?.localSettings.push(setting);
    else if (transaction === null) await connections.adopt(setting, made);
    else transaction.settings.push(setting);
  }

  async function note(act: SessionAct, made: EngineSession): Promise<void> {
    switch (act.act) {
      case 'set':
        return set(act, made);
      case 'prepare':
        prepared.set(act.name, { ...act, by: 'sql', types: [], on: new Map([[made, made.ownRuns]]) });
        return;
      case 'deallocate':
        return deallocate(act.name, made);
      case 'cursor':
        if (!act.closes) return;
        if (act.name !== null) cursors.delete(act.name);
        else {
          cursors.clear();
          await elsewhere(made, 'CLOSE ALL');
        }
        return;
      case 'listen':
        channels.set(act.channel, made);
        return;
      case 'unlisten':
        if (act.channel !== null) channels.delete(act.channel);
        else {
          channels.clear();
          await elsewhere(made, 'UNLISTEN *');
        }
        return;
      case 'advisory lock': {
        if (act.key === null) return locks.clear();
        const held = (locks.get(act.key) ?? 0) + (act.takes ? 1 : -1);
        if (held > 0) locks.set(act.key, held);
        else locks.delete(act.key);
        return;
      }
      case 'discard':
        if (act.what === 'all' || act.what === 'settings') await connections.forgetSettings(made);
        if (act.what !== 'all') return;
        await deallocate(null, made);
        cursors.clear();
        channels.clear();
        locks.clear();
        return elsewhere(made, 'CLOSE ALL; UNLISTEN *; SELECT pg_catalog.pg_advisory_unlock_all()');
      case 'show':
      case 'constraints':
        return;
      default:
        return act satisfies never;
    }
  }

  async function makeKnown(statement: PreparedStatement, connection: EngineSession, sink: ReplySink): Promise<boolean> {
    const failure = await prepareOn(statement, connection);
    if (failure === null) return true;
    sink.write(errorResponse(failure));
    return false;
  }

  return {
    prepared,
    settings(ahead = []) {
      const transaction = deps.transaction();
      const all = connections.settings();
      // Asked for each statement, and hardly ever another answer.
      if (all !== keptOf) [keptOf, kept] = [all, all.filter(({ name }) => changesMeaning(name))];
      const made = transaction === null ? ahead : [...transaction.settings, ...transaction.localSettings, ...ahead];
      if (made.length === 0) return kept;
      const now = new Map<string, string | null>(kept.map(({ name, value }) => [name, value]));
      for (const { name, value } of made) now.set(name, value);
      return [...now].flatMap(([name, value]) => (value === null || !changesMeaning(name) ? [] : [{ name, value }]));
    },
    preset: (name, value) => connections.adopt(settingOf(name, value), null),
    place(act) {
      // In a failed transaction everything fails alike.
      if (deps.current()?.transaction === 'failed') return undefined;
      if (act.act === 'cursor' && act.name !== null) return cursors.get(act.name);
      if (act.act === 'advisory lock') return act.takes ? connections.open('locks') : connections.opened('locks');
      const listens = act.act === 'listen' || act.act === 'unlisten';
      return listens && act.channel !== null ? channels.get(act.channel) : undefined;
    },
    async adopt(act, made, carry) {
      // The database answers as if there were only one connection: that the name is taken, or that it is gone.
      const named = act.act === 'prepare' || act.act === 'deallocate' ? prepared.get(act.name ?? '') : undefined;
      if (named !== undefined && made.transaction !== 'failed') await prepareOn(named, made);
      const relayed = await carry();
      if (relayed.failure === null) await note(act, made);
      return relayed;
    },
    async committed({ settings }, connection) {
      for (const setting of settings) await connections.adopt(setting, connection);
    },
    async rolledBackTo() {
      const transaction = deps.transaction();
      const connection = deps.current();
      if (transaction === null || connection === undefined || connection.transaction !== 'open') return;
      if (transaction.settings.length === 0 && transaction.localSettings.length === 0) return;
      const [shown] = await connection.own("SELECT pg_catalog.current_setting('search_path')");
      const value = shown?.rows[0]?.[0] ?? '';
      transaction.localSettings.push({ name: 'search_path', value });
    },
    ready({ executes }, connection, sink) {
      const statement = executes === undefined ? undefined : prepared.get(executes.name);
      return statement === undefined || makeKnown(statement, connection, sink);
    },
    noteCursor: (name, connection) => cursors.set(name, connection),
    heldOn: () => new Set([...cursors.values(), ...channels.values()]),
    mayLock: (key) => locks.size < MAX_ADVISORY_LOCKS || locks.has(key),
    hasRoomFor: (cursor) => cursors.size < MAX_HELD_CURSORS || cursors.has(cursor),
  };
}

function settingOf(name: string, value: string | null): Setting {
  const sql =
    value === null
      ? `RESET ${quoteIdentifier(name)}`
      : `SELECT pg_catalog.set_config(${quoteLiteral(name)}, ${quoteLiteral(value)}, false)`;
  return { name, value, sql };
}

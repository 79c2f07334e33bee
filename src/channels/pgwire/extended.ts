import type { DatabaseFailure } from '../../domain/database-failure.ts';
import type { SessionAct, TransactionAct } from '../../domain/effect.ts';
import type { Parameter, Statement } from '../../domain/intent.ts';
import { failureOf, type Refusal } from '../../domain/refusal.ts';
import { quoteIdentifier } from '../../engines/postgres/quote.ts';
import {
  BIND_COMPLETE,
  type Bind,
  CLOSE_COMPLETE,
  close,
  describe,
  errorResponse,
  NO_DATA,
  PARSE_COMPLETE,
  parameterDescription,
  parse,
  readBind,
  readExecute,
  readNamed,
  readParse,
  SYNC,
} from '../../engines/postgres/wire-messages.ts';
import type { CopySource, EngineSession, ExpectedReply, Relayed, ReplySink } from '../../engines/session.ts';
import { isKnownOn, type PreparedStatement, prepareOn } from '../../execution/prepared-statements.ts';
import type { ActorSession } from '../../pipeline/actor-session.ts';
import { judgeFilled, type Steps } from '../../pipeline/carry-query.ts';
import { decodeParameters } from '../../pipeline/decode-parameters.ts';
import type { Judgement } from '../../pipeline/judge.ts';
import { tell } from './conversation-replies.ts';
import { CLIENT_MESSAGE } from './frames.ts';
import { createOutbox } from './outbox.ts';

/** The extended query protocol of one client (PostgreSQL, "Extended Query"). */
export interface Extended {
  /** Takes one message other than Sync. */
  take(type: number, frame: Buffer, body: Buffer): Promise<void>;
  /** Ends the batch: everything is sent, measured, committed and answered. ReadyForQuery is the caller's. */
  sync(frame: Buffer): Promise<void>;
  /** Answers with an error and skips what follows, up to the next Sync. */
  refuse(refusal: Refusal): void;
  /**
   * Makes way for a simple query: what waits is sent and answered, and the unnamed statement and portal are destroyed.
   * False after an error: like all else up to the next Sync, it is to be skipped.
   */
  makeWay(): Promise<boolean>;
}

type Carried = Extract<Judgement, { analysis: unknown }>;

interface Portal {
  readonly prepared: PreparedStatement;
  /** Of the statement as it was bound: settings, catalogue and freezes move on. */
  readonly judgement: Carried | 'empty';
  readonly bind: Bind;
  readonly bindFrame: Buffer;
  /** Where it lives; `null` while nothing of it was sent: it is held, or ends or begins a transaction. */
  readonly connection: EngineSession | null;
  readonly parameters: readonly Parameter[] | null;
}

export function createExtended(deps: {
  readonly session: ActorSession;
  readonly steps: Steps;
  readonly sink: ReplySink;
  readonly rows: CopySource;
}): Extended {
  const { session, steps } = deps;
  let unnamed: PreparedStatement | undefined;
  /** Texts without a statement. */
  const empty = new WeakSet<PreparedStatement>();
  const portals = new Map<string, Portal>();
  const outbox = createOutbox({
    ...deps,
    forget(statement) {
      if (unnamed === statement) unnamed = undefined;
      if (session.prepared.get(statement.name) === statement) session.prepared.delete(statement.name);
    },
  });

  async function enter(judgement: Carried): Promise<EngineSession> {
    if (judgement.verdict === 'run' || judgement.verdict === 'session') {
      if (session.mustBegin(judgement)) await outbox.send('sync');
      return session.enter(judgement);
    }
    return session.connectionFor(judgement);
  }

  function preparedAs(name: string): PreparedStatement | undefined {
    return name === '' ? unnamed : session.prepared.get(name);
  }

  /** Makes sure that the connection knows a statement before it is bound or described there. */
  async function know(statement: PreparedStatement, connection: EngineSession): Promise<void> {
    if (isKnownOn(statement, connection)) return;
    if (statement.by === 'protocol') {
      outbox.addParse(statement, connection, parse(statement.name, statement.text, statement.types), true);
      return;
    }
    await outbox.send('sync');
    const failure = outbox.skipping ? null : await prepareOn(statement, connection);
    if (failure !== null) await outbox.fail(failure);
  }

  /** The same for what an EXECUTE inside of the statement names. */
  async function ready(judgement: Carried, connection: EngineSession): Promise<void> {
    if (judgement.analysis.executes === undefined || (judgement.verdict !== 'run' && judgement.verdict !== 'session')) {
      return;
    }
    await outbox.send('sync');
    if (outbox.skipping || (await session.ready(judgement, connection, outbox.sink()))) return;
    outbox.skipping = true;
    await session.fail();
  }

  async function onParse(frame: Buffer, body: Buffer): Promise<void> {
    const { name, sql, types } = readParse(body);
    const halted = session.standing();
    if (halted !== undefined) return outbox.fail(failureOf(halted));
    if (name !== '' && session.prepared.has(name)) return outbox.fail(duplicate(name));
    const parts = steps.split(sql);
    if ('sqlstate' in parts) return outbox.fail(parts);
    if (parts.length > 1) return outbox.fail(SEVERAL_COMMANDS);
    const { text, judgement } =
      parts.length === 0 ? ({ text: sql, judgement: 'empty' } as const) : await judgeFilled(session, steps, sql);
    if (judgement !== 'empty') {
      if (judgement.verdict === 'failed') return outbox.fail(judgement.failure);
      if (judgement.verdict === 'deny' || judgement.verdict === 'unsupported') {
        return outbox.fail(failureOf(await steps.deny(session, { text: sql, parameters: [] }, judgement)));
      }
    }
    const asked = text === sql ? {} : { asked: sql };
    const statement: PreparedStatement = { name, text, by: 'protocol', types, on: new Map(), ...asked };
    if (judgement === 'empty') empty.add(statement);
    const keep = (): void => {
      if (name === '') unnamed = statement;
      else session.prepared.set(name, statement);
    };
    if (judgement === 'empty' || judgement.verdict === 'transaction' || judgement.verdict === 'apply') {
      if (judgement !== 'empty' && isIgnored(judgement)) return outbox.fail(ABORTED);
      keep();
      return outbox.answer(PARSE_COMPLETE);
    }
    const opened = session.connectionFor(judgement);
    const connection = opened instanceof Promise ? await opened : opened;
    await ready(judgement, connection);
    await outbox.turnTo(connection);
    if (outbox.skipping) return;
    outbox.addParse(statement, connection, text === sql ? frame : parse(name, text, types), false);
    keep();
  }

  async function onBind(frame: Buffer, body: Buffer): Promise<void> {
    const bind = readBind(body);
    const found = preparedAs(bind.statement);
    if (found === undefined) return outbox.fail(unknownStatement(bind.statement));
    const statement = found.asked === undefined ? found : await filledAnew(found, found.asked);
    const judgement = await judgeAgain(statement);
    if (judgement === undefined) return;
    const portal = { prepared: statement, judgement, bind, bindFrame: frame };
    if (judgement === 'empty' || judgement.verdict === 'transaction') {
      if (isIgnored(judgement)) return outbox.fail(ABORTED);
      portals.set(bind.portal, { ...portal, connection: null, parameters: null });
      return outbox.answer(BIND_COMPLETE);
    }
    if (judgement.verdict === 'hold' || judgement.verdict === 'plan' || judgement.verdict === 'apply') {
      const parameters = await parametersOf(statement, judgement, bind);
      if (outbox.skipping) return;
      portals.set(bind.portal, { ...portal, connection: null, parameters });
      return outbox.answer(BIND_COMPLETE);
    }
    const parameters = session.mayWrite(judgement) ? await parametersOf(statement, judgement, bind) : null;
    const connection = await enter(judgement);
    await ready(judgement, connection);
    await outbox.turnTo(connection);
    if (!outbox.skipping) await know(statement, connection);
    if (outbox.skipping) return;
    outbox.add(connection, frame, { to: 'bind' });
    portals.set(bind.portal, { ...portal, connection, parameters });
  }

  /** What the gateway's own relations hold is as old as the text that the server knows: it is told a new one. */
  async function filledAnew(statement: PreparedStatement, asked: string): Promise<PreparedStatement> {
    const { text } = await judgeFilled(session, steps, asked);
    if (text === statement.text) return statement;
    for (const connection of statement.on.keys()) {
      await outbox.turnTo(connection);
      outbox.add(connection, close('statement', statement.name), { to: 'close', hidden: true });
    }
    const anew: PreparedStatement = { ...statement, text, on: new Map() };
    if (statement.name === '') unnamed = anew;
    else session.prepared.set(statement.name, anew);
    return anew;
  }

  /** The server, too, looks up names anew when it plans a bound statement. `undefined` when it was refused. */
  async function judgeAgain(statement: PreparedStatement): Promise<Carried | 'empty' | undefined> {
    if (empty.has(statement)) return 'empty';
    const text = statement.by === 'sql' ? `EXECUTE ${quoteIdentifier(statement.name)}` : statement.text;
    const now = session.judge(text);
    if (now.verdict === 'failed') {
      await outbox.fail(now.failure);
      return undefined;
    }
    if (now.verdict === 'hold' && statement.by === 'sql') {
      await outbox.fail(failureOf(BOUND_BY_PROTOCOL));
      return undefined;
    }
    if (now.verdict !== 'deny' && now.verdict !== 'unsupported') return now;
    await outbox.fail(failureOf(await steps.deny(session, { text, parameters: [] }, now)));
    return undefined;
  }

  /** Values in text form, as plans show and keep them; values in binary form are asked of the server. */
  async function parametersOf(
    statement: PreparedStatement,
    judgement: Carried,
    bind: Bind,
  ): Promise<readonly Parameter[]> {
    if (bind.values.length === 0) return [];
    const opened = session.connectionFor(judgement);
    const connection = opened instanceof Promise ? await opened : opened;
    const binary = bind.formats.includes(1);
    if (binary && (statement.types.length < bind.values.length || statement.types.includes(0))) {
      await outbox.turnTo(connection);
      await know(statement, connection);
      if (outbox.skipping) return [];
      outbox.add(connection, describe('statement', statement.name), {
        to: 'describe statement',
        hidden: true,
        onParameterTypes: (types) => {
          statement.types = types;
        },
      });
    }
    await outbox.send('sync');
    if (outbox.skipping) return [];
    return decodeParameters(connection, bind, statement.types);
  }

  async function onDescribe(frame: Buffer, body: Buffer): Promise<void> {
    const { what, name } = readNamed(body);
    if (what === 'portal') {
      const portal = portals.get(name);
      if (portal === undefined) return outbox.fail(unknownPortal(name));
      if (portal.connection !== null) {
        await outbox.turnTo(portal.connection);
        if (!outbox.skipping) outbox.add(portal.connection, frame, { to: 'describe portal' });
        return;
      }
      const { judgement } = portal;
      if (judgement === 'empty' || judgement.verdict !== 'hold') return outbox.answer(NO_DATA);
      return hold(portal);
    }
    const statement = preparedAs(name);
    if (statement === undefined) return outbox.fail(unknownStatement(name));
    const judgement = await judgeAgain(statement);
    if (judgement === undefined) return;
    // The server never hears of these before they are executed; none has parameters or returns rows.
    if (judgement === 'empty' || judgement.verdict === 'apply' || judgement.verdict === 'transaction') {
      await outbox.answer(parameterDescription([]));
      return outbox.answer(NO_DATA);
    }
    const opened = session.connectionFor(judgement);
    const connection = opened instanceof Promise ? await opened : opened;
    await ready(judgement, connection);
    await outbox.turnTo(connection);
    if (!outbox.skipping) await know(statement, connection);
    if (outbox.skipping) return;
    outbox.add(connection, frame, {
      to: 'describe statement',
      onParameterTypes: (types) => {
        statement.types = types;
      },
    });
  }

  async function onExecute(frame: Buffer, body: Buffer): Promise<void> {
    const { portal: name } = readExecute(body);
    const portal = portals.get(name);
    if (portal === undefined) return outbox.fail(unknownPortal(name));
    const halted = session.standing();
    if (halted !== undefined) return outbox.fail(failureOf(halted));
    const { prepared: statement, connection, judgement } = portal;
    if (judgement === 'empty' || judgement.verdict === 'transaction') return transact(portal, frame);
    if (judgement.verdict === 'hold' || judgement.verdict === 'plan' || connection === null) return hold(portal);
    await outbox.turnTo(connection);
    if (outbox.skipping) return;
    if (judgement.verdict === 'session') {
      await outbox.send('sync');
      if (!outbox.skipping) await bringAbout(judgement.act, connection);
      if (!outbox.skipping) await know(statement, connection);
      if (outbox.skipping) return;
      outbox.add(connection, portal.bindFrame, { to: 'bind', hidden: true });
      outbox.add(connection, frame, { to: 'execute' });
      return outbox.sendAs(async (send) => {
        const outcome = await session.adopt(judgement.act, connection, send);
        if (outcome.outcome === 'done') return;
        tell(outbox.sink(), outcome);
        await session.fail();
        session.noteFailure();
        outbox.skipping = true;
      });
    }
    if (session.mayWrite(judgement)) {
      session.note({
        statement: { text: statement.text, parameters: portal.parameters ?? [] },
        analysis: judgement.analysis,
      });
    } else if (judgement.verdict === 'run') {
      session.noteRead(judgement.analysis);
    }
    if (judgement.analysis.takesRows === true) return outbox.addTakingRows(connection, frame);
    outbox.add(connection, frame, { to: 'execute' });
  }

  /** What PREPARE and DEALLOCATE name is brought to the connection first: that makes the server forget the unnamed statement. */
  async function bringAbout(act: SessionAct, connection: EngineSession): Promise<void> {
    if ((act.act !== 'prepare' && act.act !== 'deallocate') || connection.transaction === 'failed') return;
    const named = session.prepared.get(act.name ?? '');
    if (named !== undefined) await prepareOn(named, connection);
  }

  async function hold(portal: Portal): Promise<void> {
    await outbox.send('sync');
    const { judgement } = portal;
    if (outbox.skipping || judgement === 'empty') return;
    const statement: Statement = { text: portal.prepared.text, parameters: portal.parameters ?? [] };
    const outcome =
      judgement.verdict === 'apply'
        ? await steps.apply(session, judgement.plan)
        : await steps.hold(session, [{ statement, judgement }]);
    tell(outbox.sink(), outcome);
    if (outcome.outcome === 'applied') return;
    await session.fail();
    session.noteFailure();
    outbox.skipping = true;
  }

  /** In a failed transaction the server takes nothing but its end; nor do we of what it doesn't hear of before it is executed. */
  function isIgnored(judgement: Carried | 'empty'): boolean {
    if (session.transaction !== 'failed') return false;
    return judgement === 'empty' || judgement.verdict !== 'transaction' || !ENDING.has(judgement.act.act);
  }

  /** Relays what is executed by itself. After its error the rest of the batch is skipped, as after any. */
  async function relayNow(
    connection: EngineSession,
    frames: readonly Buffer[],
    replies: readonly ExpectedReply[],
    sink: ReplySink,
  ): Promise<Relayed> {
    const relayed = await session.relay(connection, frames, replies, sink);
    if (relayed.failure !== null) outbox.skipping = true;
    return relayed;
  }

  /** BEGIN, COMMIT and their kin are sent whole, when they are executed. */
  async function transact(portal: Portal, frame: Buffer): Promise<void> {
    await outbox.send('sync');
    if (outbox.skipping) return;
    const { prepared: statement, bindFrame, judgement } = portal;
    const frames = [parse(statement.name, statement.text, statement.types), bindFrame, frame, SYNC];
    const replies: ExpectedReply[] = [
      { to: 'parse', hidden: true },
      { to: 'bind', hidden: true },
      { to: 'execute' },
      { to: 'sync' },
    ];
    const closing = statement.name === '' ? [] : [close('statement', statement.name)];
    if (judgement === 'empty' || judgement.verdict !== 'transaction') {
      const connection = await session.connectionFor(null);
      await relayNow(
        connection,
        [...frames.slice(0, 3), ...closing, SYNC],
        [...replies.slice(0, 3), ...closing.map(() => HIDDEN_CLOSE), { to: 'sync' }],
        outbox.sink(),
      );
      return;
    }
    const outcome = await session.transact(
      judgement.act,
      (connection, sink) =>
        relayNow(
          connection,
          [...frames.slice(0, 3), ...closing, SYNC],
          [...replies.slice(0, 3), ...closing.map(() => HIDDEN_CLOSE), { to: 'sync' }],
          sink,
        ),
      deps.sink,
    );
    if (outcome.outcome === 'done') return;
    tell(outbox.sink(), outcome);
    outbox.skipping = true;
  }

  async function onClose(frame: Buffer, body: Buffer): Promise<void> {
    const { what, name } = readNamed(body);
    if (what === 'portal') {
      const connection = portals.get(name)?.connection ?? null;
      portals.delete(name);
      if (connection === null) return outbox.answer(CLOSE_COMPLETE);
      await outbox.turnTo(connection);
      if (!outbox.skipping) outbox.add(connection, frame, { to: 'close' });
      return;
    }
    const statement = preparedAs(name);
    const connections = [...(statement?.on.keys() ?? [])].filter((connection) => !connection.closed);
    for (const connection of connections) {
      await outbox.turnTo(connection);
      if (outbox.skipping) return;
      outbox.add(connection, frame, { to: 'close', hidden: true, onDone: () => statement?.on.delete(connection) });
    }
    await outbox.answer(CLOSE_COMPLETE);
    // After an error the server skips a Close too, and knows the statement still.
    if (outbox.skipping) return;
    if (name === '') unnamed = undefined;
    else session.prepared.delete(name);
  }

  return {
    async take(type, frame, body) {
      if (outbox.skipping) return;
      switch (type) {
        case CLIENT_MESSAGE.parse:
          return onParse(frame, body);
        case CLIENT_MESSAGE.bind:
          return onBind(frame, body);
        case CLIENT_MESSAGE.describe:
          return onDescribe(frame, body);
        case CLIENT_MESSAGE.execute:
          return onExecute(frame, body);
        case CLIENT_MESSAGE.close:
          return onClose(frame, body);
        case CLIENT_MESSAGE.flush:
          return outbox.send('flush');
        default:
          return outbox.fail({
            severity: 'ERROR',
            sqlstate: '08P01',
            message: `a message of type ${type} is not expected here`,
          });
      }
    },
    async sync() {
      await outbox.send('sync');
      const outcome = await session.settle(deps.sink);
      tell(deps.sink, outcome);
      outbox.skipping = false;
      if (session.transaction === 'idle') portals.clear();
    },
    refuse(refusal) {
      outbox.sink().write(errorResponse(failureOf(refusal)));
      outbox.skipping = true;
    },
    async makeWay() {
      if (!outbox.skipping) await outbox.send('flush');
      if (outbox.skipping) return false;
      unnamed = undefined;
      portals.delete('');
      return true;
    },
  };
}

const HIDDEN_CLOSE: ExpectedReply = { to: 'close', hidden: true };

const ENDING: ReadonlySet<TransactionAct['act']> = new Set(['commit', 'rollback', 'rollback to']);

const ABORTED: DatabaseFailure = {
  severity: 'ERROR',
  sqlstate: '25P02',
  message: 'current transaction is aborted, commands ignored until end of transaction block',
};

const SEVERAL_COMMANDS: DatabaseFailure = {
  severity: 'ERROR',
  sqlstate: '42601',
  message: 'cannot insert multiple commands into a prepared statement',
};

const BOUND_BY_PROTOCOL: Refusal = {
  refused: 'unsupported',
  message: 'A statement that was prepared with PREPARE and is held can’t be bound by protocol.',
  hint: 'Send EXECUTE with its values, or let the driver prepare the statement itself.',
};

function duplicate(name: string): DatabaseFailure {
  return { severity: 'ERROR', sqlstate: '42P05', message: `prepared statement "${name}" already exists` };
}

function unknownStatement(name: string): DatabaseFailure {
  const message =
    name === '' ? 'unnamed prepared statement does not exist' : `prepared statement "${name}" does not exist`;
  return { severity: 'ERROR', sqlstate: '26000', message };
}

function unknownPortal(name: string): DatabaseFailure {
  return { severity: 'ERROR', sqlstate: '34000', message: `portal "${name}" does not exist` };
}

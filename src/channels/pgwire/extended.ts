import type { DatabaseFailure } from '../../domain/database-failure.ts';
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
  FLUSH,
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
import type { CopySource, EngineSession, ExpectedReply, ReplySink } from '../../engines/session.ts';
import { isKnownOn, type PreparedStatement, prepareOn } from '../../execution/prepared-statements.ts';
import type { ActorSession } from '../../pipeline/actor-session.ts';
import { judgeFilled, type Steps } from '../../pipeline/carry-query.ts';
import { decodeParameters } from '../../pipeline/decode-parameters.ts';
import type { Judgement } from '../../pipeline/judge.ts';
import { tell } from './conversation-replies.ts';
import { CLIENT_MESSAGE } from './frames.ts';

/** The extended query protocol of one client (PostgreSQL, "Extended Query"). */
export interface Extended {
  /** Takes one message other than Sync. */
  take(type: number, frame: Buffer, body: Buffer): Promise<void>;
  /** Ends the batch: everything is sent, measured, committed and answered. ReadyForQuery is the caller's. */
  sync(frame: Buffer): Promise<void>;
  /** Answers with an error and skips what follows, up to the next Sync. */
  refuse(refusal: Refusal): void;
  /** A simple query destroys the unnamed statement and portal. */
  reset(): void;
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
  /** Frames on their way to one connection, sent together. */
  let outbox: {
    readonly connection: EngineSession;
    readonly frames: Buffer[];
    readonly replies: ExpectedReply[];
    takesRows: boolean;
  } | null = null;
  /** Parsed in this batch, and not yet known to have been understood. */
  let parsing: { readonly statement: PreparedStatement; readonly connection: EngineSession }[] = [];
  /** Connections that were sent something since their last Sync. */
  const unsynced = new Set<EngineSession>();
  let skipping = false;

  const out = (): ReplySink => session.output(deps.sink);

  function add(connection: EngineSession, frame: Buffer, reply: ExpectedReply): void {
    outbox ??= { connection, frames: [], replies: [], takesRows: false };
    outbox.frames.push(frame);
    outbox.replies.push(reply);
  }

  /** Sends what waits. With a Sync the connection is free for the gateway's own statements afterwards. */
  async function send(end: 'flush' | 'sync'): Promise<void> {
    const sending = outbox;
    outbox = null;
    if (sending !== null) {
      sending.frames.push(end === 'sync' ? SYNC : FLUSH);
      if (end === 'sync') sending.replies.push({ to: 'sync' });
      const relayed = await session.relay(
        sending.connection,
        sending.frames,
        sending.replies,
        out(),
        sending.takesRows ? deps.rows : undefined,
      );
      if (end === 'sync') unsynced.delete(sending.connection);
      else unsynced.add(sending.connection);
      if (relayed.failure !== null) {
        skipping = true;
        session.noteFailure();
        parsing.forEach(neverParsed);
      }
      parsing = [];
    }
    if (end === 'sync') {
      for (const connection of unsynced) {
        if (!connection.closed) await session.relay(connection, [SYNC], [{ to: 'sync' }], out());
      }
      unsynced.clear();
    }
  }

  /** Makes sure that what waits for another connection is sent and answered first: replies come in order. */
  async function turnTo(connection: EngineSession): Promise<void> {
    if (outbox !== null && outbox.connection !== connection) await send('flush');
  }

  async function enter(judgement: Carried): Promise<EngineSession> {
    if (judgement.verdict === 'run' || judgement.verdict === 'session') {
      if (session.mustBegin(judgement)) await send('sync');
      return session.enter(judgement);
    }
    return session.connectionFor(judgement);
  }

  function preparedAs(name: string): PreparedStatement | undefined {
    return name === '' ? unnamed : session.prepared.get(name);
  }

  function addParse(statement: PreparedStatement, connection: EngineSession, frame: Buffer, hidden: boolean): void {
    const begun = { statement, connection };
    parsing.push(begun);
    const onDone = (): void => {
      parsing = parsing.filter((one) => one !== begun);
    };
    add(connection, frame, { to: 'parse', hidden, onDone });
    statement.on.set(connection, connection.ownRuns);
  }

  function neverParsed({ statement, connection }: (typeof parsing)[number]): void {
    statement.on.delete(connection);
    if (statement.on.size > 0) return;
    if (unnamed === statement) unnamed = undefined;
    if (session.prepared.get(statement.name) === statement) session.prepared.delete(statement.name);
  }

  /** Makes sure that the connection knows a statement before it is bound or described there. */
  async function know(statement: PreparedStatement, connection: EngineSession): Promise<void> {
    if (isKnownOn(statement, connection)) return;
    if (statement.by === 'protocol') {
      addParse(statement, connection, parse(statement.name, statement.text, statement.types), true);
      return;
    }
    await send('sync');
    const failure = skipping ? null : await prepareOn(statement, connection);
    if (failure !== null) await failWith(failure);
  }

  /** The same for what an EXECUTE inside of the statement names. */
  async function ready(judgement: Carried, connection: EngineSession): Promise<void> {
    if (judgement.analysis.executes === undefined || (judgement.verdict !== 'run' && judgement.verdict !== 'session')) {
      return;
    }
    await send('sync');
    if (skipping || (await session.ready(judgement, connection, out()))) return;
    skipping = true;
    await session.fail();
  }

  async function answerHere(message: Buffer): Promise<void> {
    if (outbox !== null) await send('flush');
    if (!skipping) out().write(message);
  }

  async function failWith(failure: DatabaseFailure): Promise<void> {
    await send('sync');
    if (skipping) return;
    out().write(errorResponse(failure));
    await session.fail();
    session.noteFailure();
    skipping = true;
  }

  async function onParse(frame: Buffer, body: Buffer): Promise<void> {
    const { name, sql, types } = readParse(body);
    const halted = session.standing();
    if (halted !== undefined) return failWith(failureOf(halted));
    if (name !== '' && session.prepared.has(name)) return failWith(duplicate(name));
    const parts = steps.split(sql);
    if ('sqlstate' in parts) return failWith(parts);
    if (parts.length > 1) return failWith(SEVERAL_COMMANDS);
    const { text, judgement } =
      parts.length === 0 ? ({ text: sql, judgement: 'empty' } as const) : await judgeFilled(session, steps, sql);
    if (judgement !== 'empty') {
      if (judgement.verdict === 'failed') return failWith(judgement.failure);
      if (judgement.verdict === 'deny' || judgement.verdict === 'unsupported') {
        return failWith(failureOf(await steps.deny(session, { text: sql, parameters: [] }, judgement)));
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
      keep();
      return answerHere(PARSE_COMPLETE);
    }
    const opened = session.connectionFor(judgement);
    const connection = opened instanceof Promise ? await opened : opened;
    await ready(judgement, connection);
    await turnTo(connection);
    if (skipping) return;
    addParse(statement, connection, text === sql ? frame : parse(name, text, types), false);
    keep();
  }

  async function onBind(frame: Buffer, body: Buffer): Promise<void> {
    const bind = readBind(body);
    const found = preparedAs(bind.statement);
    if (found === undefined) return failWith(unknownStatement(bind.statement));
    const statement = found.asked === undefined ? found : await filledAnew(found, found.asked);
    const judgement = await judgeAgain(statement);
    if (judgement === undefined) return;
    const portal = { prepared: statement, judgement, bind, bindFrame: frame };
    if (judgement === 'empty' || judgement.verdict === 'transaction') {
      portals.set(bind.portal, { ...portal, connection: null, parameters: null });
      return answerHere(BIND_COMPLETE);
    }
    if (judgement.verdict === 'hold' || judgement.verdict === 'apply') {
      const parameters = await parametersOf(statement, judgement, bind);
      if (skipping) return;
      portals.set(bind.portal, { ...portal, connection: null, parameters });
      return answerHere(BIND_COMPLETE);
    }
    const parameters = session.mayWrite(judgement) ? await parametersOf(statement, judgement, bind) : null;
    const connection = await enter(judgement);
    await ready(judgement, connection);
    await turnTo(connection);
    if (!skipping) await know(statement, connection);
    if (skipping) return;
    add(connection, frame, { to: 'bind' });
    portals.set(bind.portal, { ...portal, connection, parameters });
  }

  /** What the gateway's own relations hold is as old as the text that the server knows: it is told a new one. */
  async function filledAnew(statement: PreparedStatement, asked: string): Promise<PreparedStatement> {
    const { text } = await judgeFilled(session, steps, asked);
    if (text === statement.text) return statement;
    for (const connection of statement.on.keys()) {
      await turnTo(connection);
      add(connection, close('statement', statement.name), { to: 'close', hidden: true });
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
      await failWith(now.failure);
      return undefined;
    }
    if (now.verdict === 'hold' && statement.by === 'sql') {
      await failWith(failureOf(BOUND_BY_PROTOCOL));
      return undefined;
    }
    if (now.verdict !== 'deny' && now.verdict !== 'unsupported') return now;
    await failWith(failureOf(await steps.deny(session, { text, parameters: [] }, now)));
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
      await turnTo(connection);
      await know(statement, connection);
      if (skipping) return [];
      add(connection, describe('statement', statement.name), {
        to: 'describe statement',
        hidden: true,
        onParameterTypes: (types) => {
          statement.types = types;
        },
      });
    }
    await send('sync');
    if (skipping) return [];
    return decodeParameters(connection, bind, statement.types);
  }

  async function onDescribe(frame: Buffer, body: Buffer): Promise<void> {
    const { what, name } = readNamed(body);
    if (what === 'portal') {
      const portal = portals.get(name);
      if (portal === undefined) return failWith(unknownPortal(name));
      if (portal.connection !== null) {
        await turnTo(portal.connection);
        if (!skipping) add(portal.connection, frame, { to: 'describe portal' });
        return;
      }
      const { judgement } = portal;
      if (judgement === 'empty' || judgement.verdict !== 'hold') return answerHere(NO_DATA);
      return hold(portal);
    }
    const statement = preparedAs(name);
    if (statement === undefined) return failWith(unknownStatement(name));
    const judgement = await judgeAgain(statement);
    if (judgement === undefined) return;
    // The server never hears of these before they are executed; none has parameters or returns rows.
    if (judgement === 'empty' || judgement.verdict === 'apply' || judgement.verdict === 'transaction') {
      await answerHere(parameterDescription([]));
      return answerHere(NO_DATA);
    }
    const opened = session.connectionFor(judgement);
    const connection = opened instanceof Promise ? await opened : opened;
    await ready(judgement, connection);
    await turnTo(connection);
    if (!skipping) await know(statement, connection);
    if (skipping) return;
    add(connection, frame, {
      to: 'describe statement',
      onParameterTypes: (types) => {
        statement.types = types;
      },
    });
  }

  async function onExecute(frame: Buffer, body: Buffer): Promise<void> {
    const { portal: name } = readExecute(body);
    const portal = portals.get(name);
    if (portal === undefined) return failWith(unknownPortal(name));
    const halted = session.standing();
    if (halted !== undefined) return failWith(failureOf(halted));
    const { prepared: statement, connection, judgement } = portal;
    if (judgement === 'empty' || judgement.verdict === 'transaction') return transact(portal, frame);
    if (judgement.verdict === 'hold' || connection === null) return hold(portal);
    await turnTo(connection);
    if (skipping) return;
    if (judgement.verdict === 'session') {
      await send('sync');
      if (!skipping) await know(statement, connection);
      if (skipping) return;
      add(connection, portal.bindFrame, { to: 'bind', hidden: true });
      add(connection, frame, { to: 'execute' });
      const sending = outbox;
      outbox = null;
      if (sending === null) return;
      const outcome = await session.adopt(judgement.act, connection, () =>
        session.relay(connection, [...sending.frames, SYNC], [...sending.replies, { to: 'sync' }], out()),
      );
      if (outcome.outcome === 'done') return;
      tell(out(), outcome);
      await session.fail();
      session.noteFailure();
      skipping = true;
      return;
    }
    if (session.mayWrite(judgement)) {
      session.note({
        statement: { text: statement.text, parameters: portal.parameters ?? [] },
        analysis: judgement.analysis,
      });
    } else if (judgement.verdict === 'run') {
      session.noteRead(judgement.analysis);
    }
    add(connection, frame, { to: 'execute' });
    if (judgement.analysis.takesRows !== true || outbox === null) return;
    // What follows may be its rows, and no Sync.
    outbox.takesRows = true;
    await send('flush');
  }

  async function hold(portal: Portal): Promise<void> {
    await send('sync');
    const { judgement } = portal;
    if (skipping || judgement === 'empty') return;
    const statement: Statement = { text: portal.prepared.text, parameters: portal.parameters ?? [] };
    const outcome =
      judgement.verdict === 'apply'
        ? await steps.apply(session, judgement.plan)
        : await steps.hold(session, [{ statement, judgement }]);
    tell(out(), outcome);
    if (outcome.outcome === 'applied') return;
    await session.fail();
    session.noteFailure();
    skipping = true;
  }

  /** BEGIN, COMMIT and their kin are sent whole, when they are executed. */
  async function transact(portal: Portal, frame: Buffer): Promise<void> {
    await send('sync');
    if (skipping) return;
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
      await session.relay(
        connection,
        [...frames.slice(0, 3), ...closing, SYNC],
        [...replies.slice(0, 3), ...closing.map(() => HIDDEN_CLOSE), { to: 'sync' }],
        out(),
      );
      return;
    }
    const outcome = await session.transact(
      judgement.act,
      (connection, sink) =>
        session.relay(
          connection,
          [...frames.slice(0, 3), ...closing, SYNC],
          [...replies.slice(0, 3), ...closing.map(() => HIDDEN_CLOSE), { to: 'sync' }],
          sink,
        ),
      deps.sink,
    );
    if (outcome.outcome === 'done') return;
    tell(out(), outcome);
    skipping = true;
  }

  async function onClose(frame: Buffer, body: Buffer): Promise<void> {
    const { what, name } = readNamed(body);
    if (what === 'portal') {
      const connection = portals.get(name)?.connection ?? null;
      portals.delete(name);
      if (connection === null) return answerHere(CLOSE_COMPLETE);
      await turnTo(connection);
      if (!skipping) add(connection, frame, { to: 'close' });
      return;
    }
    const connections = [...(preparedAs(name)?.on.keys() ?? [])].filter((connection) => !connection.closed);
    if (name === '') unnamed = undefined;
    else session.prepared.delete(name);
    for (const connection of connections) {
      await turnTo(connection);
      if (skipping) return;
      add(connection, frame, { to: 'close', hidden: true });
    }
    return answerHere(CLOSE_COMPLETE);
  }

  return {
    async take(type, frame, body) {
      if (skipping) return;
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
          return send('flush');
        default:
          return failWith({
            severity: 'ERROR',
            sqlstate: '08P01',
            message: `a message of type ${type} is not expected here`,
          });
      }
    },
    async sync() {
      await send('sync');
      const outcome = await session.settle(deps.sink);
      tell(deps.sink, outcome);
      skipping = false;
      if (session.transaction === 'idle') portals.clear();
    },
    refuse(refusal) {
      out().write(errorResponse(failureOf(refusal)));
      skipping = true;
    },
    reset() {
      unnamed = undefined;
      portals.delete('');
    },
  };
}

const HIDDEN_CLOSE: ExpectedReply = { to: 'close', hidden: true };

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

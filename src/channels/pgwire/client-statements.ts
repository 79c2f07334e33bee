import type { TransactionAct } from '../../domain/effect.ts';
import { failureOf } from '../../domain/refusal.ts';
import { quoteIdentifier } from '../../engines/postgres/quote.ts';
import {
  CLOSE_COMPLETE,
  close,
  NO_DATA,
  PARSE_COMPLETE,
  parameterDescription,
  parse,
  readParse,
} from '../../engines/postgres/wire-messages.ts';
import type { EngineSession } from '../../engines/session.ts';
import { isKnownOn, type PreparedStatement, prepareOn } from '../../execution/prepared-statements.ts';
import type { ActorSession } from '../../pipeline/actor-session.ts';
import { judgeFilled, type Steps } from '../../pipeline/carry-query.ts';
import { becomesPlan, type Judgement } from '../../pipeline/judge.ts';
import { IN_FAILED_TRANSACTION } from '../../pipeline/session-refusals.ts';
import {
  BOUND_BY_PROTOCOL,
  duplicateStatement,
  MASKED_SINCE,
  SEVERAL_COMMANDS,
  unknownStatement,
} from './extended-failures.ts';
import type { Outbox } from './outbox.ts';

/** A judgement that has something to carry; `'empty'` stands for a text without a statement. */
export type Carried = Extract<Judgement, { analysis: unknown }>;

/** The statements that a client has parsed: what is to become of each, and which connections know it. */
export interface ClientStatements {
  parse(frame: Buffer, body: Buffer): Promise<void>;
  describe(name: string, frame: Buffer): Promise<void>;
  close(name: string, frame: Buffer): Promise<void>;
  /** The statement as it is to be bound now: with the gateway's own relations as they are now. */
  toBind(name: string): Promise<PreparedStatement | undefined>;
  /** The server, too, looks up names anew when it plans a bound statement. `undefined` when it was refused. */
  judgeAgain(statement: PreparedStatement): Promise<Carried | 'empty' | undefined>;
  /** In a failed transaction the server takes nothing but its end; nor do we of what it doesn't hear of before it is executed. */
  isIgnored(judgement: Carried | 'empty'): boolean;
  /** Makes sure that the connection knows a statement before it is bound or described there. */
  know(statement: PreparedStatement, connection: EngineSession): Promise<void>;
  /** The same for what an EXECUTE inside of the statement names. */
  ready(judgement: Carried, connection: EngineSession): Promise<void>;
  /** No connection has understood it. */
  forget(statement: PreparedStatement): void;
  forgetUnnamed(): void;
}

export function createClientStatements(deps: {
  readonly session: ActorSession;
  readonly steps: Steps;
  readonly outbox: Outbox;
}): ClientStatements {
  const { session, steps, outbox } = deps;
  let unnamed: PreparedStatement | undefined;
  /** Texts without a statement. */
  const empty = new WeakSet<PreparedStatement>();

  function preparedAs(name: string): PreparedStatement | undefined {
    return name === '' ? unnamed : session.prepared.get(name);
  }

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
    const parts = steps.split(sql);
    if ('sqlstate' in parts) return outbox.fail(parts);
    if (parts.length > 1) return outbox.fail(SEVERAL_COMMANDS);
    const { text, judgement, positionBefore } =
      parts.length === 0
        ? ({ text: sql, judgement: 'empty', positionBefore: undefined } as const)
        : await judgeFilled(session, steps, sql);
    if (judgement !== 'empty') {
      if (judgement.verdict === 'failed') return outbox.fail(judgement.failure);
      if (judgement.verdict === 'deny' || judgement.verdict === 'unsupported') {
        return outbox.fail(failureOf(await steps.deny(session, { text: sql, parameters: [] }, judgement)));
      }
    }
    if (name !== '' && session.prepared.has(name)) {
      return outbox.fail(isIgnored(judgement) ? IN_FAILED_TRANSACTION : duplicateStatement(name));
    }
    const asked = positionBefore === undefined ? {} : { asked: sql, positionIn: positionBefore };
    const conditioned = judgement !== 'empty' && judgement.conditioned === true ? { conditioned: true as const } : {};
    const statement: PreparedStatement = { name, text, by: 'protocol', types, on: new Map(), ...asked, ...conditioned };
    if (judgement === 'empty') empty.add(statement);
    const keep = (): void => {
      if (name === '') unnamed = statement;
      else session.prepared.set(name, statement);
    };
    if (judgement === 'empty' || isUnheard(judgement)) {
      if (judgement !== 'empty' && isIgnored(judgement)) return outbox.fail(IN_FAILED_TRANSACTION);
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

  async function toBind(name: string): Promise<PreparedStatement | undefined> {
    const found = preparedAs(name);
    return found?.asked === undefined ? found : filledAnew(found, found.asked);
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

  async function judgeAgain(statement: PreparedStatement): Promise<Carried | 'empty' | undefined> {
    if (empty.has(statement)) return 'empty';
    const text = statement.by === 'sql' ? `EXECUTE ${quoteIdentifier(statement.name)}` : statement.text;
    const now = session.judge(text);
    if (now.verdict === 'failed') {
      await outbox.fail(now.failure);
      return undefined;
    }
    if (now.masked === true || (now.conditioned === true && statement.conditioned !== true)) {
      await outbox.fail(failureOf(MASKED_SINCE));
      return undefined;
    }
    if (becomesPlan(now) && statement.by === 'sql') {
      await outbox.fail(failureOf(BOUND_BY_PROTOCOL));
      return undefined;
    }
    if (now.verdict !== 'deny' && now.verdict !== 'unsupported') return now;
    await outbox.fail(failureOf(await steps.deny(session, { text, parameters: [] }, now)));
    return undefined;
  }

  /**
   * The server never hears of these before they are executed; none returns rows. What rests on definitions that were only
   * gathered it would not know.
   */
  function isUnheard(judgement: Carried): boolean {
    return NOT_THE_SERVERS.has(judgement.verdict) || (session.gathering.gathered !== null && becomesPlan(judgement));
  }

  function isIgnored(judgement: Carried | 'empty'): boolean {
    if (session.transaction !== 'failed') return false;
    return judgement === 'empty' || judgement.verdict !== 'transaction' || !ENDING.has(judgement.act.act);
  }

  async function describe(name: string, frame: Buffer): Promise<void> {
    const statement = preparedAs(name);
    if (statement === undefined) return outbox.fail(unknownStatement(name));
    const judgement = await judgeAgain(statement);
    if (judgement === undefined) return;
    if (judgement === 'empty' || isUnheard(judgement)) {
      await outbox.answer(parameterDescription(statement.types));
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

  async function closeStatement(name: string, frame: Buffer): Promise<void> {
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
    parse: onParse,
    describe,
    close: closeStatement,
    toBind,
    judgeAgain,
    isIgnored,
    know,
    ready,
    forget(statement) {
      if (unnamed === statement) unnamed = undefined;
      if (session.prepared.get(statement.name) === statement) session.prepared.delete(statement.name);
    },
    forgetUnnamed() {
      unnamed = undefined;
    },
  };
}

/** None has parameters. */
const NOT_THE_SERVERS: ReadonlySet<Carried['verdict']> = new Set(['transaction', 'apply', 'already so']);

const ENDING: ReadonlySet<TransactionAct['act']> = new Set(['commit', 'rollback', 'rollback to']);

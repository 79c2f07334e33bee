import assert from 'node:assert/strict';
import type { SessionAct } from '../../domain/effect.ts';
import type { Commitment, Parameter, Statement } from '../../domain/intent.ts';
import { failureOf } from '../../domain/refusal.ts';
import { FRAME_HEADER_BYTES } from '../../engines/postgres/wire-frames.ts';
import { BIND_COMPLETE, CLOSE_COMPLETE, NO_DATA, readBind, readExecute } from '../../engines/postgres/wire-messages.ts';
import type { EngineSession, ReplySink } from '../../engines/session.ts';
import { type PreparedStatement, prepareOn } from '../../execution/prepared-statements.ts';
import type { ActorSession } from '../../pipeline/actor-session.ts';
import { answerAlreadySo } from '../../pipeline/already-so.ts';
import { judgeFilled, type Steps } from '../../pipeline/carry-query.ts';
import { commitToPassing } from '../../pipeline/commitment.ts';
import { becomesPlan } from '../../pipeline/judge.ts';
import { MAX_PLANNED_BIND_MB, VALUES_TOO_LARGE } from '../../pipeline/planned-writes.ts';
import { IN_FAILED_TRANSACTION } from '../../pipeline/session-refusals.ts';
import { readBindNames } from './bind-names.ts';
import { boundParameters } from './bound-parameters.ts';
import type { Carried, ClientStatements } from './client-statements.ts';
import { tell } from './conversation-replies.ts';
import { executeWhole } from './execute-whole.ts';
import { unknownPortal, unknownStatement } from './extended-failures.ts';
import type { LongMessage } from './long-message.ts';
import { type ClientRoom, NO_ROOM } from './message-room.ts';
import type { Outbox } from './outbox.ts';

/** The statements that a client has bound to values, and their execution. */
export interface ClientPortals {
  bind(frame: Buffer, body: Buffer): Promise<void>;
  /** The same for values that are too large to be kept in passing. */
  bindLong(message: LongMessage): Promise<void>;
  describe(name: string, frame: Buffer): Promise<void>;
  execute(frame: Buffer, body: Buffer): Promise<void>;
  close(name: string, frame: Buffer): Promise<void>;
  /** The transaction is over, and every portal with it. */
  forgetAll(): void;
  forgetUnnamed(): void;
}

interface Portal {
  readonly prepared: PreparedStatement;
  /** Of the statement as it was bound: settings, catalogue and freezes move on. */
  readonly judgement: Carried | 'empty';
  /** As it came, where it must be sent again or later. */
  readonly bindFrame: Buffer | null;
  /** Where it lives; `null` while nothing of it was sent: it is held, or ends or begins a transaction. */
  readonly connection: EngineSession | null;
  readonly parameters: readonly Parameter[] | null;
  /** What the ledger is told of values that were not kept. */
  readonly sealed?: Commitment;
}

export function createClientPortals(deps: {
  readonly session: ActorSession;
  readonly steps: Steps;
  readonly outbox: Outbox;
  readonly statements: ClientStatements;
  /** The client's own, past whatever holds replies back. */
  readonly sink: ReplySink;
  readonly room: ClientRoom;
}): ClientPortals {
  const { session, steps, outbox, statements, sink } = deps;
  const portals = new Map<string, Portal>();

  async function onBind(frame: Buffer, body: Buffer): Promise<void> {
    const bind = readBind(body);
    const statement = await statements.toBind(bind.statement);
    if (statement === undefined) return outbox.fail(unknownStatement(bind.statement));
    const judgement = await statements.judgeAgain(statement);
    if (judgement === undefined) return;
    const portal = { prepared: statement, judgement, bindFrame: sentLater(judgement) ? frame : null };
    if (judgement === 'empty' || judgement.verdict === 'transaction' || judgement.verdict === 'already so') {
      if (statements.isIgnored(judgement)) return outbox.fail(IN_FAILED_TRANSACTION);
      portals.set(bind.portal, { ...portal, connection: null, parameters: null });
      return outbox.answer(BIND_COMPLETE);
    }
    if (becomesPlan(judgement) || judgement.verdict === 'apply') {
      const parameters = await boundParameters(deps, statement, judgement, bind);
      if (outbox.skipping) return;
      portals.set(bind.portal, { ...portal, connection: null, parameters });
      return outbox.answer(BIND_COMPLETE);
    }
    const parameters = session.mayWrite(judgement) ? await boundParameters(deps, statement, judgement, bind) : null;
    const connection = await enter(judgement);
    await statements.ready(judgement, connection);
    await outbox.turnTo(connection);
    if (!outbox.skipping) await statements.know(statement, connection);
    if (outbox.skipping) return;
    outbox.add(connection, frame, { to: 'bind' });
    portals.set(bind.portal, { ...portal, connection, parameters });
  }

  /**
   * Values that nobody need keep go straight to the server, whatever their size. What may have to wait for a person is kept
   * whole, and so is bounded.
   */
  async function bindLong(message: LongMessage): Promise<void> {
    const halted = session.standing();
    if (halted !== undefined) return outbox.fail(failureOf(halted));
    const named = await readBindNames(message);
    const statement = await statements.toBind(named.statement);
    if (statement === undefined) return outbox.fail(unknownStatement(named.statement));
    const judgement = await statements.judgeAgain(statement);
    if (judgement === undefined) return;
    const keepable = message.length <= MAX_PLANNED_BIND_MB * 1024 * 1024;
    const runs = judgement !== 'empty' && judgement.verdict === 'run';
    if (!runs || (keepable && session.mayWrite(judgement))) {
      const frame = keepable ? await deps.room.assemble(message) : null;
      if (frame === null) return outbox.fail(failureOf(keepable ? NO_ROOM : VALUES_TOO_LARGE));
      return onBind(frame, frame.subarray(FRAME_HEADER_BYTES));
    }
    const connection = await enter(judgement);
    await statements.ready(judgement, connection);
    await outbox.turnTo(connection);
    if (!outbox.skipping) await statements.know(statement, connection);
    if (outbox.skipping) return;
    const values = commitToPassing(statement.text);
    await outbox.addPiecemeal(connection, values.pass(message.pieces(), named.end), { to: 'bind' });
    if (outbox.skipping) return;
    const portal = { prepared: statement, judgement, bindFrame: null, connection, parameters: null };
    portals.set(named.portal, session.mayWrite(judgement) ? { ...portal, sealed: values.sealed() } : portal);
  }

  async function enter(judgement: Carried): Promise<EngineSession> {
    if (judgement.verdict === 'run' || judgement.verdict === 'session') {
      if (session.mustBegin(judgement)) await outbox.send('sync');
      return session.enter(judgement);
    }
    return session.connectionFor(judgement);
  }

  async function describePortal(name: string, frame: Buffer): Promise<void> {
    const portal = portals.get(name);
    if (portal === undefined) return outbox.fail(unknownPortal(name));
    if (portal.connection !== null) {
      await outbox.turnTo(portal.connection);
      if (!outbox.skipping) outbox.add(portal.connection, frame, { to: 'describe portal' });
      return;
    }
    const { judgement } = portal;
    if (judgement === 'empty' || judgement.verdict !== 'hold' || session.gathering.gathers([judgement])) {
      return outbox.answer(NO_DATA);
    }
    return hold(portal);
  }

  async function onExecute(frame: Buffer, body: Buffer): Promise<void> {
    const { portal: name } = readExecute(body);
    const portal = portals.get(name);
    if (portal === undefined) return outbox.fail(unknownPortal(name));
    const halted = session.standing();
    if (halted !== undefined) return outbox.fail(failureOf(halted));
    const { prepared: statement, connection, judgement } = portal;
    if (judgement === 'empty' || judgement.verdict === 'transaction') {
      const act = judgement === 'empty' ? null : judgement.act;
      assert(portal.bindFrame !== null);
      return executeWhole(deps, act, { statement, bind: portal.bindFrame, execute: frame });
    }
    if (judgement.verdict === 'already so') return answer(portal);
    if (becomesPlan(judgement) || connection === null) return hold(portal);
    await outbox.turnTo(connection);
    if (outbox.skipping) return;
    if (judgement.verdict === 'session') {
      await outbox.send('sync');
      if (!outbox.skipping) await bringAbout(judgement.act, connection);
      if (!outbox.skipping) await statements.know(statement, connection);
      if (outbox.skipping) return;
      assert(portal.bindFrame !== null);
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
        ...(portal.sealed === undefined ? {} : { sealed: portal.sealed }),
      });
    } else if (judgement.verdict === 'run') {
      session.noteRead(judgement.analysis);
    }
    if (judgement.analysis.takesRows === true) return outbox.addTakingRows(connection, frame);
    outbox.add(connection, frame, { to: 'execute' });
  }

  /** A definition that was bound as what is already so: it may have changed since. */
  async function answer(portal: Portal): Promise<void> {
    await outbox.send('sync');
    if (outbox.skipping) return;
    const { text } = portal.prepared;
    const { judgement } = await judgeFilled(session, steps, text);
    if (judgement.verdict === 'failed') return outbox.fail(judgement.failure);
    if (judgement.verdict === 'deny' || judgement.verdict === 'unsupported') {
      return outbox.fail(failureOf(await steps.deny(session, { text, parameters: [] }, judgement)));
    }
    if (judgement.verdict !== 'already so') return hold({ ...portal, judgement });
    const outcome = await answerAlreadySo(session, judgement, sink);
    if (outcome.outcome === 'failed') await outbox.fail(outcome.failure);
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
    if (outcome.outcome === 'applied' || outcome.outcome === 'gathered') return;
    await session.fail();
    session.noteFailure();
    outbox.skipping = true;
  }

  async function closePortal(name: string, frame: Buffer): Promise<void> {
    const connection = portals.get(name)?.connection ?? null;
    portals.delete(name);
    if (connection === null) return outbox.answer(CLOSE_COMPLETE);
    await outbox.turnTo(connection);
    if (!outbox.skipping) outbox.add(connection, frame, { to: 'close' });
  }

  return {
    bind: onBind,
    bindLong,
    describe: describePortal,
    execute: onExecute,
    close: closePortal,
    forgetAll: () => portals.clear(),
    forgetUnnamed() {
      portals.delete('');
    },
  };
}

/** Settings and the ends of transactions are bound when they are executed, and once before so that errors come in time. */
function sentLater(judgement: Carried | 'empty'): boolean {
  return judgement === 'empty' || judgement.verdict !== 'run';
}

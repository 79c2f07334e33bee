import type { SessionAct } from '../../domain/effect.ts';
import type { Parameter, Statement } from '../../domain/intent.ts';
import { failureOf } from '../../domain/refusal.ts';
import {
  BIND_COMPLETE,
  type Bind,
  CLOSE_COMPLETE,
  NO_DATA,
  readBind,
  readExecute,
} from '../../engines/postgres/wire-messages.ts';
import type { EngineSession, ReplySink } from '../../engines/session.ts';
import { type PreparedStatement, prepareOn } from '../../execution/prepared-statements.ts';
import type { ActorSession } from '../../pipeline/actor-session.ts';
import type { Steps } from '../../pipeline/carry-query.ts';
import { becomesPlan } from '../../pipeline/judge.ts';
import { IN_FAILED_TRANSACTION } from '../../pipeline/session-refusals.ts';
import { boundParameters } from './bound-parameters.ts';
import type { Carried, ClientStatements } from './client-statements.ts';
import { tell } from './conversation-replies.ts';
import { executeWhole } from './execute-whole.ts';
import { unknownPortal, unknownStatement } from './extended-failures.ts';
import type { Outbox } from './outbox.ts';

/** The statements that a client has bound to values, and their execution. */
export interface ClientPortals {
  bind(frame: Buffer, body: Buffer): Promise<void>;
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
  readonly bind: Bind;
  readonly bindFrame: Buffer;
  /** Where it lives; `null` while nothing of it was sent: it is held, or ends or begins a transaction. */
  readonly connection: EngineSession | null;
  readonly parameters: readonly Parameter[] | null;
}

export function createClientPortals(deps: {
  readonly session: ActorSession;
  readonly steps: Steps;
  readonly outbox: Outbox;
  readonly statements: ClientStatements;
  /** The client's own, past whatever holds replies back. */
  readonly sink: ReplySink;
}): ClientPortals {
  const { session, steps, outbox, statements } = deps;
  const portals = new Map<string, Portal>();

  async function onBind(frame: Buffer, body: Buffer): Promise<void> {
    const bind = readBind(body);
    const statement = await statements.toBind(bind.statement);
    if (statement === undefined) return outbox.fail(unknownStatement(bind.statement));
    const judgement = await statements.judgeAgain(statement);
    if (judgement === undefined) return;
    const portal = { prepared: statement, judgement, bind, bindFrame: frame };
    if (judgement === 'empty' || judgement.verdict === 'transaction') {
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
    if (judgement === 'empty' || judgement.verdict !== 'hold' || session.gathers([judgement])) {
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
      return executeWhole(deps, act, { statement, bind: portal.bindFrame, execute: frame });
    }
    if (becomesPlan(judgement) || connection === null) return hold(portal);
    await outbox.turnTo(connection);
    if (outbox.skipping) return;
    if (judgement.verdict === 'session') {
      await outbox.send('sync');
      if (!outbox.skipping) await bringAbout(judgement.act, connection);
      if (!outbox.skipping) await statements.know(statement, connection);
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
    describe: describePortal,
    execute: onExecute,
    close: closePortal,
    forgetAll: () => portals.clear(),
    forgetUnnamed() {
      portals.delete('');
    },
  };
}

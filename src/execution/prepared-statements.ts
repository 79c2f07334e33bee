import type { DatabaseFailure } from '../domain/database-failure.ts';
import type { PreparedText } from '../domain/effect.ts';
import { parse, SYNC } from '../engines/postgres/wire-messages.ts';
import { EngineFailure, type EngineSession, type ReplySink } from '../engines/session.ts';

/** A statement that an actor has prepared, and what the servers know of it. */
export interface PreparedStatement extends PreparedText {
  /** Oids of the parameters' types as far as the client gave them. */
  types: readonly number[];
  /**
   * Connections whose server knows it, each with how many of the gateway's own statements had run there: those make the
   * server forget the unnamed one.
   */
  readonly on: Map<EngineSession, number>;
  /** As the client sent it, where the gateway has put relations into the text, and where positions in this one lie in that. */
  readonly asked?: string;
  readonly positionIn?: (position: number) => number;
  /** Texts of the catalogue that it asks for are told under conditions that stand in it. */
  readonly conditioned?: true;
}

export function isKnownOn({ name, on }: PreparedStatement, connection: EngineSession): boolean {
  const ownRuns = on.get(connection);
  return ownRuns !== undefined && (name !== '' || ownRuns === connection.ownRuns);
}

/** Prepares it on a connection that doesn't know it yet. @returns the database's refusal, or `null`. */
export async function prepareOn(
  statement: PreparedStatement,
  connection: EngineSession,
): Promise<DatabaseFailure | null> {
  if (isKnownOn(statement, connection)) return null;
  const failure = await tryPrepare(statement, connection);
  if (failure === null) statement.on.set(connection, connection.ownRuns);
  return failure;
}

async function tryPrepare(
  { name, text, by, types }: PreparedStatement,
  connection: EngineSession,
): Promise<DatabaseFailure | null> {
  if (by === 'protocol') {
    const { failure } = await connection.relay(
      [parse(name, text, types), SYNC],
      [{ to: 'parse' }, { to: 'sync' }],
      NOWHERE,
    );
    return failure;
  }
  try {
    await connection.own(text);
    return null;
  } catch (error) {
    if (error instanceof EngineFailure) return error.failure;
    throw error;
  }
}

const NOWHERE: ReplySink = { write: () => true, drained: () => Promise.resolve() };

import type { DatabaseFailure } from '../../domain/database-failure.ts';
import { failureOf } from '../../domain/refusal.ts';
import { backendKeyData, errorResponse, parameterStatus, readyForQuery } from '../../engines/postgres/wire-messages.ts';
import { EngineFailure } from '../../engines/session.ts';
import type { ActorSession } from '../../pipeline/actor-session.ts';
import type { Steps } from '../../pipeline/carry-query.ts';
import type { Refused } from '../../pipeline/gateway.ts';
import { converse } from './conversation.ts';
import type { WireConnection } from './listener.ts';
import { createMessageRoom } from './message-room.ts';

/** Opens the session of an authenticated task on the target that the client named. */
export type OpenWireSession = (
  task: string,
  target: string,
) => Promise<{ readonly session: ActorSession; readonly steps: Steps } | Refused>;

/** Carries clients' sessions, and cancels what they run when they ask for it. */
export interface WireSessions {
  serve(connection: WireConnection): Promise<void>;
  cancel(processId: number): Promise<void>;
}

export function createWireSessions(open: OpenWireSession): WireSessions {
  const running = new Map<number, ActorSession>();
  const room = createMessageRoom();

  return {
    async serve(connection) {
      const { socket, keys, closing, rest } = connection;
      const opened = await open(connection.user, connection.database);
      if ('refused' in opened) {
        socket.write(errorResponse({ ...failureOf(opened.refused), severity: 'FATAL' }));
        return;
      }
      const { session, steps } = opened;
      running.set(keys.processId, session);
      try {
        const refused = await preset(session, connection);
        if (refused !== undefined) {
          socket.write(errorResponse({ ...refused, severity: 'FATAL' }));
          return;
        }
        const greeting = [...reported(session)].map(([name, value]) => parameterStatus(name, value));
        const key = backendKeyData(keys.processId, keys.secret);
        socket.write(Buffer.concat([...greeting, key, readyForQuery('idle')]));
        await converse({ socket, rest, session, steps, signal: closing, room });
      } finally {
        running.delete(keys.processId);
        await session.close();
      }
    },
    async cancel(processId) {
      await running.get(processId)?.cancel();
    },
  };
}

/** Makes the settings that came with the start-up; the database's own refusal of one ends the start-up, as it would there. */
async function preset(session: ActorSession, { settings }: WireConnection): Promise<DatabaseFailure | undefined> {
  try {
    for (const { name, value } of settings) await session.preset(name, value);
    return undefined;
  } catch (error) {
    if (error instanceof EngineFailure) return error.failure;
    throw error;
  }
}

/** What the target reports of itself, told as it is for this session and not for the login behind it. */
function reported(session: ActorSession): ReadonlyMap<string, string> {
  const parameters = new Map(session.connections.opened('read')?.parameters ?? []);
  parameters.set('session_authorization', session.task.id);
  parameters.set('default_transaction_read_only', session.connections.canWrite ? 'off' : 'on');
  parameters.set('is_superuser', 'off');
  return parameters;
}

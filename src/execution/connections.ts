import { RefusalError } from '../domain/refusal.ts';
import type { ProfileLogins, TargetEngine } from '../engines/engine.ts';
import type { EngineSession } from '../engines/session.ts';

/** Which of a task's two logins a statement runs under. */
export type Purpose = 'read' | 'write';

/** What holds locks of the session's own has a connection to itself: it outlives a change of logins, and no transaction ends it. */
type Use = Purpose | 'locks';

/** The connections of one actor's session: one for each use, opened when first needed, alike in their settings. */
export interface Connections {
  /** Opens it when it isn't open. @throws RefusalError when the target can't be reached or is not the pinned one. */
  open(use: Use): Promise<EngineSession>;
  /** The connection if it is open: what the hot path asks. */
  opened(use: Use): EngineSession | undefined;
  readonly canWrite: boolean;
  /** Remembers a setting that the actor made on `made`, and makes it on the other connection too, now or when that opens. */
  adopt(setting: Setting, made: EngineSession | null): Promise<void>;
  /** The actor threw its settings away. */
  forgetSettings(made: EngineSession): Promise<void>;
  /** The same array as long as nothing was set. */
  settings(): readonly { readonly name: string; readonly value: string }[];
  all(): readonly EngineSession[];
  /**
   * Goes on under other logins, outside of any transaction: the next statement opens a connection under them. Those that
   * are `needed` for what is on them stay open beside.
   */
  renew(logins: ProfileLogins, needed: ReadonlySet<EngineSession>): Promise<void>;
  readonly anyBeside: boolean;
  /** Ends those that have stayed beside and are no longer needed. */
  letGo(needed: ReadonlySet<EngineSession>): Promise<void>;
  close(): Promise<void>;
  destroy(): void;
}

export interface Setting {
  readonly name: string;
  /** `null` sets it back to its default. */
  readonly value: string | null;
  /** The SQL that makes it. */
  readonly sql: string;
}

export function createConnections(
  engine: TargetEngine,
  firstLogins: ProfileLogins,
  told: { readonly onLost: (reason: Error) => void; readonly onNotification: (message: Buffer) => void },
): Connections {
  const sessions = new Map<Use, EngineSession>();
  const opening = new Map<Use, Promise<EngineSession>>();
  const settings = new Map<string, Setting>();
  let inForce: readonly { readonly name: string; readonly value: string }[] | undefined;
  /** Under earlier logins, for what is on them. */
  const beside = new Set<EngineSession>();
  let logins = firstLogins;
  let ended = false;

  async function begin(use: Use): Promise<EngineSession> {
    const login = logins[use === 'locks' ? 'read' : use];
    if (login === undefined) {
      throw new RefusalError({
        refused: 'denied',
        message: 'This task may not write to this target.',
        hint: 'Open a task that declares the tables to be written.',
      });
    }
    const session = await engine.openSession(login);
    if (ended) {
      session.destroy();
      throw new RefusalError({ refused: 'unavailable', message: 'The session is closing.', hint: 'Connect again.' });
    }
    session.onLost((reason) => {
      if (sessions.get(use) === session) sessions.delete(use);
      beside.delete(session);
      if (!ended) told.onLost(reason instanceof Error ? reason : new Error(reason.message));
    });
    session.onNotification(told.onNotification);
    for (const setting of settings.values()) await session.own(setting.sql);
    sessions.set(use, session);
    return session;
  }

  const all = (): readonly EngineSession[] => [...sessions.values(), ...beside];

  async function elsewhere(made: EngineSession | null, sql: string): Promise<void> {
    for (const session of all()) if (session !== made && !session.closed) await session.own(sql);
  }

  async function letGo(needed: ReadonlySet<EngineSession>): Promise<void> {
    const over = [...beside].filter((session) => !needed.has(session));
    for (const session of over) beside.delete(session);
    await Promise.allSettled(over.map((session) => session.close()));
  }

  return {
    get canWrite() {
      return logins.write !== undefined;
    },
    opened: (use) => sessions.get(use),
    open(use) {
      const open = sessions.get(use);
      if (open !== undefined) return Promise.resolve(open);
      const pending = opening.get(use) ?? begin(use).finally(() => opening.delete(use));
      opening.set(use, pending);
      return pending;
    },
    async adopt(setting, made) {
      if (setting.value === null) settings.delete(setting.name);
      else settings.set(setting.name, setting);
      inForce = undefined;
      await elsewhere(made, setting.sql);
    },
    async forgetSettings(made) {
      settings.clear();
      inForce = undefined;
      await elsewhere(made, 'RESET ALL');
    },
    settings() {
      inForce ??= [...settings.values()].flatMap(({ name, value }) => (value === null ? [] : [{ name, value }]));
      return inForce;
    },
    all,
    get anyBeside() {
      return beside.size > 0;
    },
    letGo,
    async renew(next, needed) {
      const same = next.read.user === logins.read.user && next.write?.user === logins.write?.user;
      logins = next;
      if (same) return;
      const before = [...sessions].filter(([use]) => use !== 'locks');
      for (const [use, session] of before) {
        sessions.delete(use);
        beside.add(session);
      }
      await letGo(needed);
    },
    async close() {
      ended = true;
      await Promise.allSettled(all().map((session) => session.close()));
    },
    destroy() {
      ended = true;
      for (const session of all()) session.destroy();
    },
  };
}

import { existsSync } from 'node:fs';
import type { Config } from '../../config/load.ts';
import { type Instant, instantOf } from '../../domain/ids.ts';
import { lastEntryAbout } from '../../ledger/newest-entry.ts';
import { lastWrites } from '../../store/intents.ts';
import { openStore } from '../../store/open-store.ts';
import { allPasskeys } from '../../store/passkeys.ts';
import { openPersonSessions } from '../../store/person-sessions.ts';
import { allPersonTokens } from '../../store/person-tokens.ts';
import type { Store } from '../../store/store.ts';
import { openTasks } from '../../store/tasks.ts';
import type { OwnToken } from './tokens.ts';

/** What lets agents and people in at the gateway, out of the configuration and the state; never a secret of it. */
export async function readTokens(config: Config, nowMs: number): Promise<readonly OwnToken[]> {
  const exists = typeof config.state !== 'string' || existsSync(config.state.slice('sqlite:'.length));
  const store = exists ? await openStore(config.state, { readOnly: true, mayWait: true }) : null;
  try {
    return [...configured(config), ...(store === null ? [] : await kept(store, instantOf(nowMs)))];
  } finally {
    await store?.close();
  }
}

function configured({ agentTokens, actors }: Config): readonly OwnToken[] {
  const lasting = { since: null, used: null, ends: null };
  const agents = [...agentTokens.values()].map((agent) => ({
    ...lasting,
    kind: 'agent' as const,
    id: agent,
    of: agent,
    what: 'opens tasks within its role (tokenHash in the configuration)',
  }));
  const people = [...actors.values()].flatMap((actor) =>
    actor.kind === 'person' && actor.publicKeys.length > 0
      ? [
          {
            ...lasting,
            kind: 'key' as const,
            id: actor.id,
            of: actor.id,
            what: `${actor.publicKeys.length} public ${actor.publicKeys.length === 1 ? 'key' : 'keys'} (${actor.roles.join(', ')})`,
          },
        ]
      : [],
  );
  const approving = [...actors.values()].flatMap((actor) =>
    actor.kind === 'approval agent'
      ? [
          {
            ...lasting,
            kind: 'key' as const,
            id: actor.id,
            of: actor.owner,
            what: `a public key (approves as an agent in ${actor.approves.join(', ')})`,
          },
        ]
      : [],
  );
  return [...agents, ...people, ...approving];
}

async function kept(store: Store, now: Instant): Promise<readonly OwnToken[]> {
  const wrote = await lastWrites(store);
  const tasks = (await openTasks(store, now)).map((task) => ({
    kind: 'task' as const,
    id: task.id,
    of: task.agent,
    what: task.purpose,
    since: task.openedAt,
    used: wrote.get(task.id) ?? null,
    ends: task.expiresAt,
  }));
  const rows = (await allPersonTokens(store)).filter(({ expires_at }) => expires_at > now);
  const tokens = await Promise.all(
    rows.map(async ({ id, expires_at }): Promise<OwnToken[]> => {
      const entry = await lastEntryAbout(store, 'token', id);
      const said = entry?.body as
        | { readonly event?: string; readonly person?: string; readonly name?: string }
        | undefined;
      // A row that no entry tells of is worth nothing.
      if (entry === undefined || said?.event !== 'made') return [];
      const [of, what] = [said.person ?? '', said.name ?? ''];
      return [{ kind: 'person token', id, of, what, since: entry.at, used: null, ends: expires_at as Instant }];
    }),
  );
  const sessions = (await openPersonSessions(store, now)).map(({ id, person, via, opened_at, seen_at, ends_at }) => ({
    kind: 'session' as const,
    id,
    of: person,
    what: `signed in by ${via}`,
    since: opened_at as Instant,
    used: seen_at as Instant,
    ends: ends_at as Instant,
  }));
  const passkeys = (await allPasskeys(store)).map(({ id, person, envelope, registered_at }) => ({
    kind: 'passkey' as const,
    id,
    of: person,
    what: envelope === null ? 'not vouched for: it signs nothing yet' : 'vouched for',
    since: registered_at as Instant,
    used: null,
    ends: null,
  }));
  return [...tasks, ...tokens.flat(), ...sessions, ...passkeys];
}

import { useSyncExternalStore } from 'react';
import { ApiError, get, rememberCsrf, send } from './api.ts';
import { connect, disconnect, refetchAll } from './live.ts';

/** Who is signed in, as `GET /api/session` says it. */
export interface Session {
  readonly person: string;
  readonly name: string;
  readonly rights: readonly string[];
  readonly roles: readonly string[];
  readonly csrf: string;
  readonly via: string;
  readonly expires: string;
}

export interface LoginWays {
  readonly passkey: boolean;
  readonly oidc: string | null;
}

export type SessionState =
  | { readonly state: 'asking' }
  | { readonly state: 'out'; readonly login: LoginWays; readonly why: string | null }
  | { readonly state: 'unreachable' }
  | { readonly state: 'in'; readonly session: Session };

let now: SessionState = { state: 'asking' };
const listeners = new Set<() => void>();

export function useSession(): SessionState {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => now,
  );
}

/** Asks who is signed in. */
export async function loadSession(): Promise<void> {
  try {
    signedIn(await get<Session>('/api/session'));
  } catch (error) {
    if (error instanceof ApiError) signedOut(error);
    else set({ state: 'unreachable' });
  }
}

export function signedIn(session: Session): void {
  rememberCsrf(session.csrf);
  set({ state: 'in', session });
  connect();
  refetchAll();
}

export async function signOut(): Promise<void> {
  await send('/api/session', {}, 'DELETE');
  await loadSession();
}

/** The gateway has said that nobody is signed in (any more). */
export function signedOut(error: ApiError): void {
  disconnect();
  const login = (error as ApiError & { login?: LoginWays }).login ?? { passkey: false, oidc: null };
  set({ state: 'out', login, why: now.state === 'in' ? error.message : null });
}

function set(next: SessionState): void {
  now = next;
  for (const listener of listeners) listener();
}

import { useEffect, useRef, useState } from 'react';
import type { Halt } from '../../src/domain/halt.ts';
import type { IncidentView } from '../../src/pipeline/incidents.ts';
import type { PlanPage } from '../../src/pipeline/oversight/plan-queue.ts';
import { ApiError } from './api.ts';
import { useKeys } from './keys.ts';
import { type Connection, useConnection, useLive } from './live.ts';
import { ActivityPage } from './pages/activity.tsx';
import { ActorsPage } from './pages/actors.tsx';
import { ApprovalsPage } from './pages/approvals.tsx';
import { HaltPage } from './pages/halt.tsx';
import { IncidentsPage } from './pages/incidents.tsx';
import { PasskeysPage } from './pages/passkeys.tsx';
import { PlanPage as OnePlanPage } from './pages/plan.tsx';
import { SignInPage } from './pages/sign-in.tsx';
import { TargetsPage } from './pages/targets.tsx';
import { TaskPage } from './pages/task.tsx';
import { TasksPage } from './pages/tasks.tsx';
import { Link } from './parts/link.tsx';
import { ShortcutsDialog } from './parts/shortcuts.tsx';
import { Empty } from './parts/states.tsx';
import { visible } from './parts/words.ts';
import { go, usePlace } from './router.ts';
import { loadSession, type Session, signOut, useSession } from './session.ts';
import { THEMES, type Theme, useTheme } from './theme.ts';

/** The whole console: who is signed in sees it, everybody else how to sign in. */
export function App() {
  const session = useSession();
  useTheme();
  useEffect(() => void loadSession(), []);
  switch (session.state) {
    case 'asking':
      return (
        <p className="waiting sign-in" role="status">
          Reading …
        </p>
      );
    case 'unreachable':
      return <SignInPage login={null} why={null} />;
    case 'out':
      return <SignInPage login={session.login} why={session.why} />;
    default:
      return <Shell session={session.session} />;
  }
}

const SECTIONS = [
  { href: '/', name: 'Approvals', key: '1', right: 'plan.read' },
  { href: '/activity', name: 'Activity', key: '2', right: 'ledger.read' },
  { href: '/tasks', name: 'Tasks', key: '3', right: 'task.read' },
  { href: '/actors', name: 'Actors', key: '4', right: 'task.read' },
  { href: '/targets', name: 'Targets', key: '5', right: 'target.read' },
] as const;

function Shell({ session }: { readonly session: Session }) {
  const { path } = usePlace();
  const [asksForKeys, setAsksForKeys] = useState(false);
  const main = useRef<HTMLElement>(null);
  const first = useRef(true);
  const may = (right: string) => session.rights.includes(right);
  const sections = SECTIONS.filter(({ right }) => may(right));
  const queue = useLive<PlanPage>(may('plan.read') ? '/api/plans?state=open&limit=50' : null);
  const halts = useLive<{ halts: readonly Halt[] }>(may('halt.read') ? '/api/halts' : null);
  const unreviewed = useLive<{ incidents: readonly IncidentView[] }>(
    may('ledger.read') ? '/api/incidents?unreviewed=true' : null,
  );
  const halted = halts.data?.halts.length ?? 0;
  const waiting = queue.data?.total ?? 0;

  useKeys({
    '?': () => setAsksForKeys(true),
    H: () => go('/halt'),
    ...Object.fromEntries(sections.map(({ key, href }) => [key, () => go(href)])),
  });
  useEffect(() => {
    document.title = `${waiting > 0 ? `(${waiting}) ` : ''}${titleOf(path)} · Countersign`;
  }, [waiting, path]);
  // Another page: whoever reads by ear or keyboard begins at its beginning.
  // biome-ignore lint/correctness/useExhaustiveDependencies: the path is what it follows
  useEffect(() => {
    if (first.current) first.current = false;
    else main.current?.focus({ preventScroll: true });
  }, [path]);
  useEffect(() => {
    if (queue.error instanceof ApiError && queue.error.status === 401) void loadSession();
  }, [queue.error]);

  return (
    <div className="shell">
      <a className="skip" href="#main">
        Skip to the page
      </a>
      <header className="rail">
        <Link className="name" href="/">
          Countersign
        </Link>
        <nav aria-label="Sections">
          <ul>
            {sections.map(({ href, name }) => (
              <li key={href}>
                <Link href={href} aria-current={isIn(path, href) ? 'page' : undefined}>
                  {name}
                  {href === '/' && waiting > 0 ? (
                    <span className="count">
                      {waiting}
                      <span className="unseen"> waiting</span>
                    </span>
                  ) : null}
                </Link>
              </li>
            ))}
          </ul>
        </nav>
        <Link className="button stop" href="/halt" data-halted={halted > 0}>
          {halted > 0 ? `Halted (${halted})` : 'Halt …'}
        </Link>
      </header>
      <main id="main" ref={main} tabIndex={-1}>
        {halted > 0 && path !== '/halt' ? <HaltBanner halts={halts.data?.halts ?? []} /> : null}
        {path === '/incidents' ? null : <IncidentBanner incidents={unreviewed.data?.incidents ?? []} />}
        <Page path={path} session={session} />
      </main>
      <Foot session={session} onKeys={() => setAsksForKeys(true)} />
      {asksForKeys ? <ShortcutsDialog onClose={() => setAsksForKeys(false)} /> : null}
    </div>
  );
}

function Page({ path, session }: { readonly path: string; readonly session: Session }) {
  const [, section = '', id] = path.split('/');
  if (section === '' || (section === 'plans' && id === undefined)) return <ApprovalsPage />;
  if (section === 'plans' && id !== undefined) return <OnePlanPage key={id} id={id} session={session} />;
  if (section === 'activity') return <ActivityPage />;
  if (section === 'tasks' && id !== undefined) return <TaskPage key={id} id={id} session={session} />;
  if (section === 'tasks') return <TasksPage />;
  if (section === 'actors') return <ActorsPage session={session} />;
  if (section === 'targets') return <TargetsPage session={session} />;
  if (section === 'halt') return <HaltPage session={session} />;
  if (section === 'incidents') return <IncidentsPage session={session} />;
  if (section === 'passkeys') return <PasskeysPage session={session} />;
  if (section === 'sign-in') return <SignedInAlready />;
  return (
    <Empty title="There is no such page.">
      The address may be mistyped. <Link href="/">See what waits for a countersignature</Link>
    </Empty>
  );
}

function SignedInAlready() {
  useEffect(() => go('/', { replace: true }), []);
  return null;
}

const SAID: Readonly<Record<Connection, string>> = {
  live: 'Live',
  connecting: 'Connecting …',
  offline: 'Not connected: this may be old',
};

function Foot({ session, onKeys }: { readonly session: Session; readonly onKeys: () => void }) {
  const connection = useConnection();
  const [theme, setTheme] = useTheme();
  return (
    <footer className="foot">
      <span className="link-state" data-connection={connection} role="status">
        {SAID[connection]}
      </span>
      <label>
        <span className="unseen">Colours</span>
        <select value={theme} onChange={(event) => setTheme(event.target.value as Theme)}>
          {THEMES.map((known) => (
            <option key={known} value={known}>
              {known === 'system' ? 'Colours of the system' : `${known[0]?.toUpperCase()}${known.slice(1)}`}
            </option>
          ))}
        </select>
      </label>
      <span className="keys">
        <button type="button" className="button plain" onClick={onKeys}>
          Keys <kbd>?</kbd>
        </button>
      </span>
      <span>
        <button type="button" className="button plain" onClick={() => void signOut()}>
          Sign out
        </button>
        {session.rights.includes('passkey.own') ? <Link href="/passkeys">{session.name}</Link> : session.name}
      </span>
    </footer>
  );
}

function HaltBanner({ halts }: { readonly halts: readonly Halt[] }) {
  const [first] = halts;
  if (first === undefined) return null;
  const what = first.scope.scope === 'global' ? 'Everything' : `The ${first.scope.scope} ${first.scope.id}`;
  return (
    <div className="banner" role="status">
      <strong>{what} is halted.</strong>
      <span>
        {first.by}: {first.reason}
        {halts.length > 1 ? `; and ${halts.length - 1} more` : ''}
      </span>
      <Link href="/halt">Look at halts</Link>
    </div>
  );
}

/** Whoever acted alone is looked at by somebody: until then it stands on every page. */
function IncidentBanner({ incidents }: { readonly incidents: readonly IncidentView[] }) {
  const [first] = incidents;
  if (first === undefined) return null;
  return (
    <div className="banner warn" role="status">
      <strong>{first.person} acted alone, and nobody has reviewed it.</strong>
      <span>
        {visible(first.statement.reason)}
        {incidents.length > 1 ? `; and ${incidents.length - 1} more` : ''}
      </span>
      <Link href="/incidents">Look at incidents</Link>
    </div>
  );
}

function isIn(path: string, href: string): boolean {
  if (href === '/') return path === '/' || path.startsWith('/plans');
  return path === href || path.startsWith(`${href}/`);
}

function titleOf(path: string): string {
  if (path === '/halt') return 'Halt';
  if (path === '/incidents') return 'Incidents';
  if (path === '/passkeys') return 'Your passkeys';
  return SECTIONS.find(({ href }) => isIn(path, href))?.name ?? 'Countersign';
}

import type { HbaRule } from '../../engines/postgres/examine.ts';
import type { Login, OpenConnections } from '../../engines/postgres/powers.ts';
import { quoteIdentifier } from '../../engines/postgres/quote.ts';
import { type Finding, findingsOf, some } from '../finding.ts';

/** Roles that do on the server itself what no grant on a table says. */
const SERVER_POWERS: ReadonlyMap<string, string> = new Map([
  ['pg_execute_server_program', 'runs programs on the server'],
  ['pg_write_server_files', 'writes files of the server'],
  ['pg_read_server_files', 'reads files of the server'],
]);
/** From here on CREATEROLE reaches only roles that it has made. */
const CREATEROLE_BOUNDED = 160_000;

/** What a login comes to: the most of it, and all of it in words. */
export interface Standing {
  readonly login: Login;
  /** `cluster`: as good as a superuser. */
  readonly rank: 'cluster' | 'owner' | 'writer' | 'reader' | 'nothing';
  readonly does: readonly string[];
  /** Of Countersign's own: what it is for; `null` where it is somebody else's. */
  readonly own: string | null;
  /** Lines of pg_hba.conf that may let it in; `null` where they can't be read. */
  readonly lines: readonly HbaRule[] | null;
  readonly connected: readonly OpenConnections[];
}

/** Puts together who a login is, what it may, and how it gets in. */
export function standingOf(
  login: Login,
  about: {
    readonly serverVersion: number;
    readonly database: string;
    /** Names of Countersign's own, with what each is for. */
    readonly own: ReadonlyMap<string, string>;
    readonly hbaRules: readonly HbaRule[] | null;
    readonly connections: readonly OpenConnections[];
  },
): Standing {
  const servers = login.roles.flatMap((role) => SERVER_POWERS.get(role) ?? []);
  const creates = login.createRole && about.serverVersion < CREATEROLE_BOUNDED;
  const does = login.superuser
    ? ['is a superuser']
    : [
        ...servers,
        ...(login.createRole ? [creates ? 'can make itself anything (CREATEROLE)' : 'creates roles'] : []),
        ...(login.replication ? ['copies the whole server (REPLICATION)'] : []),
        ...(login.bypassRls ? ['passes by row security (BYPASSRLS)'] : []),
        ...counted(login),
      ];
  const rank =
    login.superuser || creates || servers.length > 0
      ? 'cluster'
      : login.owns > 0
        ? 'owner'
        : login.writes > 0
          ? 'writer'
          : login.reads > 0 || login.replication
            ? 'reader'
            : 'nothing';
  const profile = /^cs_[0-9a-f]{16}_[rw]$/.test(login.login) ? 'tasks' : undefined;
  return {
    login,
    rank,
    does: does.length === 0 ? ['may do nothing with tables'] : does,
    own: about.own.get(login.login) ?? profile ?? null,
    lines: about.hbaRules === null ? null : linesFor(login, about.database, about.hbaRules),
    connected: about.connections.filter((open) => open.login === login.login),
  };
}

function counted({ owns, writes, reads }: Login): readonly string[] {
  const tables = (count: number) => `${count} ${count === 1 ? 'table' : 'tables'}`;
  return [
    ...(owns > 0 ? [`owns ${tables(owns)}`] : []),
    ...(writes > 0 ? [`changes rows of ${tables(writes)}`] : []),
    ...(reads > 0 ? [`reads ${tables(reads)}`] : []),
  ];
}

/** Lines of pg_hba.conf that may let a login in; what a client's address makes of them nobody knows before ("The pg_hba.conf File"). */
export function linesFor({ login, roles }: Login, database: string, rules: readonly HbaRule[]): readonly HbaRule[] {
  const isUser = (name: string) => {
    if (name === 'all' || name === login) return true;
    if (name.startsWith('+')) return roles.includes(name.slice(1));
    return name.startsWith('/') && matches(name.slice(1), login);
  };
  const isDatabase = (name: string) => {
    if (name === 'all' || name === database) return true;
    if (name === 'sameuser') return login === database;
    if (name === 'samerole' || name === 'samegroup') return roles.includes(database);
    return name.startsWith('/') && matches(name.slice(1), database);
  };
  return rules.filter(
    ({ error, method, users, databases }) =>
      error === null && method !== 'reject' && users.some(isUser) && databases.some(isDatabase),
  );
}

/** What can't be read as an expression here, the server may still match. */
function matches(pattern: string, name: string): boolean {
  try {
    return new RegExp(pattern).test(name);
  } catch (error) {
    if (error instanceof SyntaxError) return true;
    throw error;
  }
}

const VERDICTS = { cluster: 'fail', owner: 'fail', writer: 'warn', reader: 'warn', nothing: 'ok' } as const;

/** One finding for each login that is not Countersign's own and gets at the target. */
export function checkLogins(target: string, standings: readonly Standing[], nowMs: number): Finding[] {
  const { ok, bad } = findingsOf(`target ${target}`);
  const found = standings.flatMap((standing): Finding[] => {
    const { login, own, rank, lines, connected } = standing;
    const verdict = VERDICTS[rank];
    const shut = !login.mayConnect || lines?.length === 0;
    // Whoever is connected got in, whatever the file says now.
    if (own !== null || verdict === 'ok' || (shut && connected.length === 0)) return [];
    return [
      bad(verdict, `credentials.login.${rank}`, {
        found: `${login.login} ${standing.does.join(', ')}; ${waysOf(standing, nowMs)}`,
        why: `Whoever has its password acts past the gateway${rank === 'reader' ? ', and nothing of it is recorded' : ': nothing is held, measured, recorded or undone'}.`,
        fix: `ALTER ROLE ${quoteIdentifier(login.login)} NOLOGIN;  -- if nothing needs it\n-- if something does: a new password that ends, and targets.${target}.logins: { ${JSON.stringify(login.login)}: 'what for' }`,
      }),
    ];
  });
  return found.length > 0
    ? found
    : [ok('credentials.logins', 'no login but Countersign’s own, and those that are known, gets at it')];
}

/** How it gets in: lines, password, and who is in now. */
export function waysOf({ login, lines, connected }: Standing, nowMs: number): string {
  const by =
    lines === null
      ? 'pg_hba.conf can’t be read'
      : lines.length === 0
        ? 'no line of pg_hba.conf lets it in'
        : `let in by pg_hba.conf ${some(
            lines.map(({ line, method }) => `line ${line} (${method})`),
            3,
          )}`;
  const ends = login.passwordEnds;
  const password =
    ends === null
      ? 'its password never ends'
      : ends.getTime() < nowMs
        ? `its password has ended ${ends.toISOString().slice(0, 10)}`
        : `its password ends ${ends.toISOString().slice(0, 10)}`;
  return [
    ...(login.mayConnect ? [] : ['it may not connect to this database']),
    by,
    password,
    ...(connected.length === 0 ? [] : [`connected now: ${some(connected.map(described), 3)}`]),
  ].join('; ');
}

function described({ connections, address, application }: OpenConnections): string {
  return `${connections} from ${address ?? 'a socket or an unknown address'}${application === '' ? '' : ` (${application})`}`;
}

/** Countersign's own logins in somebody else's hands: its sessions say who they are. */
export function checkOwnInUse(target: string, standings: readonly Standing[], logins: readonly string[]): Finding[] {
  const { bad } = findingsOf(`target ${target}`);
  return standings
    .filter(({ login }) => logins.includes(login.login))
    .flatMap(({ login, connected }) =>
      connected
        .filter(({ application }) => !application.startsWith('countersign'))
        .map((open) =>
          bad('fail', 'credentials.own', {
            found: `somebody is connected as ${login.login}, which is the gateway’s alone: ${described(open)}`,
            why: 'Its password has been read. Whoever does this acts with all that the gateway may.',
            fix: `SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity WHERE usename = '${login.login.replaceAll("'", "''")}' AND application_name !~ '^countersign';\n-- then a new password for it: countersign init --database <administrator URL> --target ${target}`,
          }),
        ),
    );
}

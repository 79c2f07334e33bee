import type { Examination, HeldRole } from '../engines/postgres/examine.ts';
import { quoteIdentifier } from '../engines/postgres/quote.ts';
import { type Finding, findingsOf } from './finding.ts';

/** Roles of the server whose members can do what no declared table bounds. */
const POWERFUL: ReadonlyMap<string, string> = new Map([
  ['pg_write_all_data', 'changes every table'],
  ['pg_read_all_data', 'reads every table'],
  ['pg_execute_server_program', 'runs programs on the server'],
  ['pg_write_server_files', 'writes files of the server'],
  ['pg_read_server_files', 'reads files of the server'],
  ['pg_create_subscription', 'connects the server to others'],
  ['pg_maintain', 'locks and rewrites every table'],
]);
/** From here on CREATEROLE no longer reaches roles that it has not made. */
const CREATEROLE_BOUNDED = 160_000;

/**
 * What the two logins of a target could do beyond what they are for (G1, G4): attributes, and memberships however far
 * away, because a member can take on the role.
 */
export function checkRoles(
  target: string,
  logins: { readonly session: string; readonly apply: string },
  { roles, serverVersion }: Examination,
  initAgain: string,
): Finding[] {
  const { ok, bad } = findingsOf(`target ${target}`);
  return Object.entries(logins).flatMap(([purpose, login]) => {
    const held = roles.filter((role) => role.login === login);
    const found: Finding[] = [];
    const attribute = (
      key: keyof HeldRole & ('superuser' | 'bypassRls' | 'createDatabase' | 'replication'),
      sql: string,
      what: string,
    ) => {
      for (const { role, through } of held.filter((candidate) => candidate[key])) {
        found.push(
          bad('fail', `roles.${purpose}.${key}`, {
            found:
              role === login
                ? `the ${purpose} login ${login} ${what}`
                : `the ${purpose} login ${login} is a member of ${role}, which ${what}`,
            why: 'A statement that got past the analysis would meet no second lock.',
            fix: role === login ? `ALTER ROLE ${quoteIdentifier(login)} ${sql};` : revoke(role, through),
          }),
        );
      }
    };
    attribute('superuser', 'NOSUPERUSER', 'is a superuser');
    attribute('bypassRls', 'NOBYPASSRLS', 'passes by row security (BYPASSRLS)');
    attribute('createDatabase', 'NOCREATEDB', 'creates databases');
    attribute('replication', 'NOREPLICATION', 'can stream the whole cluster (REPLICATION)');
    for (const { role, through } of held) {
      const power = POWERFUL.get(role);
      if (power === undefined) continue;
      found.push(
        bad('fail', `roles.${purpose}.membership`, {
          found: `the ${purpose} login ${login} is a member of ${role}: it ${power}`,
          why: 'It reaches what no task has declared.',
          fix: revoke(role, through),
        }),
      );
    }
    if (held.length === 0) {
      found.push(
        bad('unknown', `roles.${purpose}`, {
          found: `there is no role ${login}`,
          why: 'Nothing can be governed without it.',
          fix: initAgain,
        }),
      );
    }
    return [
      ...(found.length === 0 ? [ok(`roles.${purpose}`, `${login} holds no power beyond its purpose`)] : found),
      ...checkCreateRole(purpose, login, held, serverVersion),
    ];
  });

  function checkCreateRole(purpose: string, login: string, held: readonly HeldRole[], version: number): Finding[] {
    const creators = held.filter(({ createRole }) => createRole);
    if (purpose === 'apply') {
      return creators.map(({ role, through }) =>
        bad('fail', 'roles.apply.createRole', {
          found: `the apply login ${login} can create roles${role === login ? '' : ` by way of ${role}`}`,
          why: 'A plan could make itself a login.',
          fix: role === login ? `ALTER ROLE ${quoteIdentifier(login)} NOCREATEROLE;` : revoke(role, through),
        }),
      );
    }
    if (!creators.some(({ role }) => role === login)) {
      return [
        bad('fail', 'roles.session.createRole', {
          found: `the session login ${login} can’t create roles`,
          why: 'It can make no logins for tasks: no session can be opened.',
          fix: `ALTER ROLE ${quoteIdentifier(login)} CREATEROLE;`,
        }),
      ];
    }
    if (version >= CREATEROLE_BOUNDED) return [ok('roles.session.createRole', 'CREATEROLE is bounded by the server')];
    return [
      bad('warn', 'roles.session.createRole', {
        found: `on PostgreSQL ${Math.floor(version / 10_000)} CREATEROLE makes ${login} as good as a superuser`,
        why: 'Whoever reads its password can grant itself pg_execute_server_program. From 16 on the server refuses that.',
        fix: 'upgrade the server to 16 or newer; until then keep secrets/ as you keep a superuser’s password',
      }),
    ];
  }
}

function revoke(role: string, through: string): string {
  return `REVOKE ${quoteIdentifier(role)} FROM ${quoteIdentifier(through)};`;
}

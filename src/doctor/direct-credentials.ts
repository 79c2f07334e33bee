import { type Finding, findingsOf } from './finding.ts';

/** A way into some PostgreSQL server that lies about. The password itself is never taken up. */
export interface DirectCredential {
  /** Where it is: `the variable DATABASE_URL`, `/app/.env line 3`. */
  readonly place: string;
  readonly host: string;
  /** 0: any. */
  readonly port: number;
}

const PORT = 5432;

/** Connection URLs with a password, wherever they stand in a text. */
export function credentialsInText(text: string, place: (line: number) => string): DirectCredential[] {
  return text.split('\n').flatMap((content, index) =>
    [...content.matchAll(/postgres(?:ql)?:\/\/[^\s'"`<>\\]+/g)].flatMap(([url]) => {
      if (!URL.canParse(url)) return [];
      const { hostname, port, password, searchParams } = new URL(url);
      if (password === '' && !searchParams.has('password')) return [];
      const host = hostname || (searchParams.get('host') ?? 'localhost');
      return [{ place: place(index + 1), host: host.replace(/^\[|\]$/g, ''), port: Number(port || PORT) }];
    }),
  );
}

/** Variables that drivers and frameworks put together: `PGHOST` with `PGPASSWORD`, and their like. */
export function credentialInVariables(
  variables: Readonly<Record<string, string | undefined>>,
  place: (name: string) => string,
): DirectCredential[] {
  return VARIABLES.flatMap(([password, host, port]) =>
    variables[password]
      ? [{ place: place(password), host: variables[host] || 'localhost', port: Number(variables[port] || PORT) }]
      : [],
  );
}

const VARIABLES = [
  ['PGPASSWORD', 'PGHOST', 'PGPORT'],
  ['POSTGRES_PASSWORD', 'POSTGRES_HOST', 'POSTGRES_PORT'],
  ['DB_PASSWORD', 'DB_HOST', 'DB_PORT'],
  ['DATABASE_PASSWORD', 'DATABASE_HOST', 'DATABASE_PORT'],
] as const;

/** `NAME=value` lines, as dotenv and shells read them. */
export function variablesIn(text: string): Record<string, string> {
  const pairs = [...text.matchAll(/^\s*(?:export\s+)?([A-Za-z_]\w*)\s*=\s*(.*?)\s*$/gm)];
  return Object.fromEntries(pairs.map(([, name = '', value = '']) => [name, value.replace(/^(["'])(.*)\1$/, '$2')]));
}

/** Lines of a password file (PostgreSQL, "The Password File"). */
export function credentialsInPasswordFile(text: string, file: string): DirectCredential[] {
  return text.split('\n').flatMap((line, index) => {
    if (line.startsWith('#') || line.trim() === '') return [];
    const fields = [...line.matchAll(/((?:\\.|[^\\:])*)(?::|$)/g)].map(([, field = '']) =>
      field.replace(/\\(.)/g, '$1'),
    );
    const [host = '*', port = '*', , , password = ''] = fields;
    if (password === '') return [];
    return [{ place: `${file} line ${index + 1}`, host, port: port === '*' ? 0 : Number(port) }];
  });
}

/** Sections of a connection service file (PostgreSQL, "The Connection Service File"). */
export function credentialsInServiceFile(text: string, file: string): DirectCredential[] {
  return text.split(/^(?=\s*\[)/m).flatMap((section) => {
    const name = /^\s*\[([^\]]+)\]/.exec(section)?.[1];
    const values = variablesIn(section);
    if (name === undefined || !values['password']) return [];
    const { host = 'localhost', port = '' } = values;
    return [{ place: `${file} section ${name}`, host, port: Number(port || PORT) }];
  });
}

/** A target's address, and every other name of the same machine that is known. */
export interface Reachable {
  readonly target: string;
  readonly port: number;
  readonly hosts: ReadonlySet<string>;
}

/**
 * Credentials that lead to a target past the gateway (G13).
 *
 * @param addressesOf what a host's name stands for, itself included.
 * @param agentHost on an agent's machine no other credential has a place either.
 */
export function checkDirectCredentials(
  found: readonly DirectCredential[],
  targets: readonly Reachable[],
  addressesOf: (host: string) => readonly string[],
  agentHost: boolean,
): Finding[] {
  const { ok, bad } = findingsOf('environment');
  const findings = found.flatMap((credential): Finding[] => {
    const reached = targets.find((target) => leadsTo(credential, target, addressesOf));
    if (reached !== undefined) {
      return [
        bad('fail', 'environment.credential', {
          found: `${credential.place} holds a credential that leads to ${reached.target} past the gateway`,
          why: 'Whatever runs here can do all that it allows: nothing of it is held, measured or recorded.',
          fix: `remove it there, give the login a new password, and use what countersign task open prints instead`,
        }),
      ];
    }
    if (!agentHost) return [];
    return [
      bad('warn', 'environment.other', {
        found: `${credential.place} holds a credential of a PostgreSQL server (${credential.host === '*' ? 'any' : credential.host})`,
        why: 'An agent that works here can use it. Countersign doesn’t know that server.',
        fix: 'remove it there, or put that database behind Countersign: countersign init --database <administrator URL>',
      }),
    ];
  });
  return findings.length > 0
    ? findings
    : [ok('environment', 'no credential that leads past the gateway lies about here')];
}

function leadsTo(
  credential: DirectCredential,
  target: Reachable,
  addressesOf: (host: string) => readonly string[],
): boolean {
  const rightPort = credential.port === 0 || credential.port === target.port;
  const rightHost =
    credential.host === '*' || addressesOf(credential.host).some((address) => target.hosts.has(address));
  // Another database of the same server is a way in just as well: its login exists in the whole cluster.
  return rightPort && rightHost;
}

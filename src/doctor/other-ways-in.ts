import { BlockList, isIP } from 'node:net';
import type { Endpoint } from '../domain/target.ts';
import type { Examination, HbaRule } from '../engines/postgres/examine.ts';
import { quoteIdentifier } from '../engines/postgres/quote.ts';
import { type Finding, findingsOf, some } from './finding.ts';

/** Who can reach the database other than through the gateway (G13): what Countersign can't govern it at least shows. */
export function checkOtherWaysIn(
  target: string,
  endpoint: Endpoint,
  logins: { readonly session: string; readonly apply: string },
  examined: Examination,
): Finding[] {
  return [
    ...checkHba(target, endpoint, logins, examined),
    ...checkListening(target, examined),
    ...checkOpenDatabases(target, examined),
    ...checkOtherLogins(target, examined),
  ];
}

function checkHba(
  target: string,
  { database }: Endpoint,
  logins: { readonly session: string; readonly apply: string },
  { hbaRules, clientAddress, serverVersion }: Examination,
): Finding[] {
  const { ok, bad } = findingsOf(`target ${target}`);
  if (hbaRules === null) {
    return [
      bad('unknown', 'reach.hba', {
        found: 'pg_hba.conf can’t be read by the session login',
        why: 'Lines that let others in, or without a password, stay unseen.',
        fix: `GRANT SELECT ON pg_catalog.pg_hba_file_rules TO ${quoteIdentifier(logins.session)};\nGRANT EXECUTE ON FUNCTION pg_catalog.pg_hba_file_rules() TO ${quoteIdentifier(logins.session)};`,
      }),
    ];
  }
  const rules = hbaRules.filter((rule) => rule.error === null && concerns(rule, database) && rule.method !== 'reject');
  const found: Finding[] = [];
  for (const { line, error } of hbaRules.filter((rule) => rule.error !== null)) {
    found.push(
      bad('fail', 'reach.hba.error', {
        found: `line ${line} of pg_hba.conf is wrong: ${error}`,
        why: 'The server goes on with the rules it had; at its next start it may not come up.',
        fix: `mend line ${line} of pg_hba.conf, then SELECT pg_reload_conf();`,
      }),
    );
  }
  for (const rule of rules.filter(({ method }) => method === 'trust')) {
    found.push(
      bad('fail', 'reach.hba.trust', {
        found: `line ${rule.line} of pg_hba.conf lets ${rule.users.join(', ')} in without a password from ${fromOf(rule)}`,
        why: 'Whoever gets there is any user they say, past the gateway.',
        fix: `change trust to scram-sha-256 in line ${rule.line} of pg_hba.conf, then SELECT pg_reload_conf();`,
      }),
    );
  }
  for (const rule of rules.filter(({ method }) => method === 'password' || method === 'md5')) {
    found.push(
      bad(rule.method === 'password' && rule.type !== 'hostssl' ? 'fail' : 'warn', 'reach.hba.method', {
        found: `line ${rule.line} of pg_hba.conf takes ${rule.method === 'md5' ? 'MD5' : 'plain'} passwords from ${fromOf(rule)}`,
        why: 'A password that was overheard opens the database past the gateway.',
        fix: `change ${rule.method} to scram-sha-256 in line ${rule.line} of pg_hba.conf, then SELECT pg_reload_conf();`,
      }),
    );
  }
  const elsewhere = rules.filter(
    (rule) => rule.type.startsWith('host') && rule.method !== 'trust' && beyond(rule, clientAddress),
  );
  if (elsewhere.length > 0) {
    const everywhere = elsewhere.some((rule) => spanOf(rule) === 0);
    const gateway = clientAddress === null ? '<gateway>' : `${clientAddress}/${isIP(clientAddress) === 6 ? 128 : 32}`;
    // Patterns of users came with 16.
    const users = serverVersion >= 160_000 ? `${logins.session},${logins.apply},"/^cs_"` : 'all';
    found.push(
      bad(everywhere ? 'fail' : 'warn', 'reach.hba.elsewhere', {
        found: `pg_hba.conf lets others than the gateway in: ${some(elsewhere.map((rule) => `line ${rule.line} from ${fromOf(rule)}`))}`,
        why: 'Whoever has a password there acts past the gateway: nothing is held, measured or recorded.',
        fix: `above these lines: hostssl ${database} ${users} ${gateway} scram-sha-256\nand narrow them to the addresses of your own applications, then SELECT pg_reload_conf();`,
      }),
    );
  }
  return found.length > 0
    ? found
    : [ok('reach.hba', 'pg_hba.conf lets in only the gateway’s machine, with a password')];
}

function concerns({ databases }: HbaRule, database: string): boolean {
  return databases.some(
    (name) => name === 'all' || name === database || name === 'sameuser' || name === 'samerole' || name.startsWith('/'),
  );
}

function fromOf({ type, address, netmask }: HbaRule): string {
  if (type === 'local') return 'a socket of the server';
  return netmask === null ? (address ?? 'anywhere') : `${address}/${prefixOf(netmask)}`;
}

function beyond(rule: HbaRule, gateway: string | null): boolean {
  const { address } = rule;
  if (address === null || isIP(address) === 0) return address !== 'samehost';
  const loopback = new BlockList();
  loopback.addSubnet('127.0.0.0', 8);
  loopback.addAddress('::1', 'ipv6');
  const whole = isIP(address) === 6 ? 128 : 32;
  if (loopback.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4') && spanOf(rule) >= 8) return false;
  return !(address === gateway && spanOf(rule) === whole);
}

/** How many bits of the address are fixed: 0 is everywhere. */
function spanOf({ address, netmask }: HbaRule): number {
  if (address === 'all') return 0;
  return netmask === null ? 128 : prefixOf(netmask);
}

function prefixOf(netmask: string): number {
  const groups = netmask.includes(':')
    ? netmask.split(':').map((group) => Number.parseInt(group || '0', 16))
    : netmask.split('.').map(Number);
  return groups.reduce((bits, group) => bits + group.toString(2).replaceAll('0', '').length, 0);
}

function checkListening(target: string, { settings }: Examination): Finding[] {
  const { ok, bad } = findingsOf(`target ${target}`);
  const listens = settings.get('listen_addresses');
  if (listens === undefined) return [];
  const wide = listens.split(',').some((address) => ['*', '0.0.0.0', '::'].includes(address.trim()));
  if (!wide) return [ok('reach.listen', `the server listens on ${listens === '' ? 'no network address' : listens}`)];
  return [
    bad('warn', 'reach.listen', {
      found: `the server listens on every address (listen_addresses = '${listens}')`,
      why: 'Only pg_hba.conf and the network stand between everybody and the database.',
      fix: "ALTER SYSTEM SET listen_addresses = '<the address that the gateway uses>';  -- and restart",
    }),
  ];
}

function checkOpenDatabases(target: string, { openDatabases }: Examination): Finding[] {
  const { ok, bad } = findingsOf(`target ${target}`);
  if (openDatabases.length === 0) return [ok('reach.public', 'no database of the server is open to PUBLIC')];
  const names = openDatabases.map(({ database }) => database);
  return [
    bad('fail', 'reach.public', {
      found: `every login may connect to ${some(names)} (CONNECT for PUBLIC)`,
      why: 'Logins of tasks must reach their own database only, and make no temporary objects.',
      fix: names
        .map((name) => `REVOKE CONNECT, TEMPORARY ON DATABASE ${quoteIdentifier(name)} FROM PUBLIC;`)
        .join('\n'),
    }),
  ];
}

function checkOtherLogins(target: string, { otherLogins }: Examination): Finding[] {
  const { ok, bad } = findingsOf(`target ${target}`);
  const superusers = otherLogins.filter(({ superuser }) => superuser).map(({ login }) => login);
  const writers = otherLogins.filter(({ superuser, writes }) => !superuser && writes > 0);
  const found: Finding[] = [];
  if (superusers.length > 1) {
    found.push(
      bad('warn', 'reach.superusers', {
        found: `${superusers.length} superusers can log in: ${some(superusers)}`,
        why: 'Each of their passwords is a way past the gateway. One is enough, and nobody need use it day by day.',
        fix: superusers
          .slice(1)
          .map((login) => `ALTER ROLE ${quoteIdentifier(login)} NOLOGIN;  -- if nobody needs it`)
          .join('\n'),
      }),
    );
  }
  if (writers.length > 0) {
    found.push(
      bad('warn', 'reach.writers', {
        found: `${writers.length} other login${writers.length === 1 ? '' : 's'} can change rows: ${some(writers.map(({ login, writes }) => `${login} (${writes} tables)`))}`,
        why: 'Applications need theirs. An agent that finds one acts past the gateway.',
        fix: writers
          .map(
            ({ login }) =>
              `ALTER ROLE ${quoteIdentifier(login)} NOLOGIN;  -- if no application needs it; otherwise give it a new password that no agent has seen`,
          )
          .join('\n'),
      }),
    );
  }
  return found.length > 0 ? found : [ok('reach.logins', 'no other login but one superuser can change rows')];
}

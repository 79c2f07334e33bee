import { describe, expect, it } from 'vitest';
import { linesFor } from '../../src/doctor/credentials/logins.ts';
import type { HbaRule } from '../../src/engines/postgres/examine.ts';
import type { Login } from '../../src/engines/postgres/powers.ts';

const login = (roles: readonly string[]): Login => ({
  login: roles[0] ?? '',
  superuser: false,
  createRole: false,
  bypassRls: false,
  replication: false,
  owns: 0,
  writes: 0,
  reads: 1,
  roles,
  mayConnect: true,
  passwordEnds: null,
});
const rule = (line: number, users: string[], databases: string[], method = 'scram-sha-256'): HbaRule => ({
  line,
  type: 'host',
  users,
  databases,
  address: 'all',
  netmask: null,
  method,
  error: null,
});

describe('G13 the lines of pg_hba.conf that may let a login in', () => {
  it.each([
    ['its name', rule(1, ['app'], ['rental']), true],
    ['a group of its', rule(1, ['+staff'], ['all']), true],
    ['another’s group', rule(1, ['+admins'], ['all']), false],
    ['a pattern', rule(1, ['/^ap'], ['/^rent']), true],
    ['a pattern that only the server understands', rule(1, ['/[[:<:]('], ['all']), true],
    ['another database', rule(1, ['all'], ['other']), false],
    ['replication alone', rule(1, ['all'], ['replication']), false],
    ['a role named like the database', rule(1, ['all'], ['samerole']), true],
    ['the login named like the database', rule(1, ['all'], ['sameuser']), false],
    ['a line that rejects', rule(1, ['all'], ['all'], 'reject'), false],
    ['a line that is wrong', { ...rule(1, ['all'], ['all']), error: 'invalid' }, false],
  ])('%s: %#', (_what, line, lets) => {
    expect(linesFor(login(['app', 'staff', 'rental']), 'rental', [line])).toHaveLength(lets ? 1 : 0);
  });
});

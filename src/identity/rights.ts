import type { Person, PersonRole } from '../domain/actor.ts';

/** What a person does on any surface. HTTP routes and commands name one of these, and nothing else decides. */
export const RIGHTS = [
  'plan.read',
  'plan.decide',
  'plan.apply',
  'change.undo',
  'task.read',
  'task.open',
  'task.close',
  'target.read',
  'halt.read',
  'halt.set',
  'ledger.read',
  'ledger.export',
  'config.read',
  'config.reload',
  'code.vouch',
  'session.read',
  'session.revoke',
  'passkey.own',
  'passkey.revoke',
  'token.own',
] as const;
export type Right = (typeof RIGHTS)[number];

const LOOK = ['plan.read', 'task.read', 'target.read', 'halt.read'] as const;
const OWN = ['passkey.own', 'token.own'] as const;

/** Role × action, whole: who isn't named may not. Where a person may countersign is narrowed by `approves`. */
const TABLE: Readonly<Record<PersonRole, readonly Right[]>> = {
  requester: [...LOOK, ...OWN, 'task.open', 'task.close', 'plan.apply', 'change.undo'],
  approver: [...LOOK, ...OWN, 'plan.decide', 'plan.apply', 'change.undo', 'code.vouch', 'ledger.read'],
  operator: [...LOOK, ...OWN, 'halt.set', 'task.close', 'ledger.read', 'session.read', 'session.revoke'],
  // Proves a passkey to sign in with, and changes nothing else.
  auditor: [...LOOK, 'passkey.own', 'ledger.read', 'ledger.export', 'config.read', 'session.read'],
  administrator: [
    ...LOOK,
    ...OWN,
    'ledger.read',
    'ledger.export',
    'config.read',
    'config.reload',
    'session.read',
    'session.revoke',
    'passkey.revoke',
  ],
};

/** What the roles of a person allow together. */
export function rightsOf({ roles }: Pick<Person, 'roles'>): readonly Right[] {
  const granted = new Set(roles.flatMap((role) => TABLE[role]));
  return RIGHTS.filter((right) => granted.has(right));
}

export function mayDo(person: Pick<Person, 'roles'>, right: Right): boolean {
  return person.roles.some((role) => TABLE[role].includes(right));
}

/** The roles that would allow it, for who is refused. */
export function rolesThatMay(right: Right): readonly PersonRole[] {
  return (Object.keys(TABLE) as PersonRole[]).filter((role) => TABLE[role].includes(right));
}

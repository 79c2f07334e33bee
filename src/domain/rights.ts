import { type ApprovalAgent, PERSON_ROLES, type Person, type PersonRole } from './actor.ts';
import type { EnvironmentId } from './ids.ts';
import type { Refusal } from './refusal.ts';

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
  'values.erase',
  'code.vouch',
  'drift.accept',
  'session.read',
  'session.revoke',
  'passkey.own',
  'passkey.revoke',
  'token.own',
  'glass.break',
  'incident.review',
] as const;
export type Right = (typeof RIGHTS)[number];

const LOOK = ['plan.read', 'task.read', 'target.read', 'halt.read'] as const;
const OWN = ['passkey.own', 'token.own'] as const;

/**
 * Role × action, whole: who isn't named may not. Where a person may countersign is narrowed by `approves`, and what an
 * approval agent may approve by `approval/agent-approval.ts`.
 */
const TABLE: Readonly<Record<PersonRole | ApprovalAgent['kind'], readonly Right[]>> = {
  'approval agent': ['plan.decide'],
  requester: [...LOOK, ...OWN, 'task.open', 'task.close', 'plan.apply', 'change.undo'],
  approver: [
    ...LOOK,
    ...OWN,
    'plan.decide',
    'plan.apply',
    'change.undo',
    'code.vouch',
    'drift.accept',
    'ledger.read',
    'incident.review',
  ],
  operator: [
    ...LOOK,
    ...OWN,
    'halt.set',
    'task.close',
    'ledger.read',
    'values.erase',
    'session.read',
    'session.revoke',
  ],
  // Where is narrowed by `breaksGlass`: nobody has it unless they are named.
  responder: [...LOOK, ...OWN, 'glass.break', 'plan.apply', 'ledger.read'],
  // Registers what they sign in with, says what they think of broken glass, and changes nothing else.
  auditor: [...LOOK, 'passkey.own', 'ledger.read', 'session.read', 'incident.review'],
  administrator: [
    ...LOOK,
    ...OWN,
    'ledger.read',
    'values.erase',
    'session.read',
    'session.revoke',
    'passkey.revoke',
    'incident.review',
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

export function approvalAgentMay(right: Right): boolean {
  return TABLE['approval agent'].includes(right);
}

/** What is answered to an approval agent that has not the right. */
export function noRightOfAgent({ id, owner }: Pick<ApprovalAgent, 'id' | 'owner'>, right: Right): Refusal {
  return {
    refused: 'denied',
    message: `${id} is an approval agent and has not the right ${right}: it approves plans, and nothing else.`,
    hint: `A person does this, with their own key. ${owner} answers for ${id}.`,
  };
}

/** What somebody is told who has not the right. */
export function noRight({ id }: Pick<Person, 'id'>, right: Right): Refusal {
  const roles = PERSON_ROLES.filter((role) => TABLE[role].includes(right));
  return {
    refused: 'denied',
    message: `${id} has not the right ${right}.`,
    hint: `It comes with the role ${roles.join(' or ')}, which the configuration gives under actors.people.${id}.roles.`,
  };
}

/** Whether agents may act for this person in an environment: what an agent may on their behalf is never more than they may. */
export function mayHaveActed(person: Pick<Person, 'roles' | 'requests'>, environment: EnvironmentId): boolean {
  return mayDo(person, 'task.open') && (person.requests.includes('*') || person.requests.includes(environment));
}

export function notForThem(person: string, environment: string): Refusal {
  return {
    refused: 'denied',
    message: `No agent may act for ${person} in ${environment}.`,
    hint: `It takes the role requester, and ${environment} under actors.people.${person}.requests. Somebody else who may can ask for it.`,
  };
}

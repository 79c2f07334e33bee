import type { ApprovalAgent, Person, Role } from '../../domain/actor.ts';
import type { Branch } from '../../domain/branch.ts';
import type { TargetRadius, Task } from '../../domain/task.ts';

/** What a task may do now, in sentences that need no knowledge of patterns and limits. */
export function spellTask(task: Task, rowsUsed: number, branches: readonly Branch[]): readonly string[] {
  const { limits } = task;
  const writes = task.radius.some(({ write }) => write.length > 0);
  return [
    ...task.radius.flatMap(spellRadius),
    writes
      ? `Changes at most ${grouped(limits.rowsPerStatement)} rows with one statement and ${grouped(limits.rowsPerTask)} in all; ${grouped(rowsUsed)} are used.`
      : 'Changes no row.',
    ...branches.map(spellBranch),
    `A statement may run for ${span(limits.statementTimeoutMs)}.`,
    'Can’t approve anything.',
  ];
}

function spellBranch({ id, of, copy, expiresAt }: Branch): string {
  if (copy === null) return `A copy of ${of} is being made for it: ${id}.`;
  return `In ${id}, a copy of ${of} as of ${copy.at}, it changes as many rows as it wants, until ${expiresAt}: none of it is done to ${of}.`;
}

function spellRadius({ target, read, write }: TargetRadius): readonly string[] {
  return [
    `On ${target} it reads ${spellPatterns([...read, ...write])}.`,
    ...(write.length === 0 ? [] : [`On ${target} it changes rows of ${spellPatterns(write)}.`]),
  ];
}

/** What a role allows at the most. */
export function spellRole(role: Role): readonly string[] {
  const { read, write, propose } = role;
  return [
    `A task of it may read ${spellPatterns([...read, ...write])}.`,
    write.length === 0 ? 'It may change no rows.' : `It may change rows of ${spellPatterns(write)}.`,
    propose.length === 0
      ? 'It may propose nothing beyond that.'
      : `It may propose, never do by itself: ${propose.map((verb) => PROPOSED[verb]).join(', ')}.`,
    `At most ${grouped(role.maxRowsPerStatement)} rows a statement, ${grouped(role.maxRowsPerTask)} a task, and ${span(role.maxTaskMs)} a task.`,
    'It can’t approve anything.',
  ];
}

const PROPOSED: Readonly<Record<Role['propose'][number], string>> = {
  truncate: 'emptying tables',
  schema: 'changes of definitions',
  privilege: 'changes of rights',
  unknown: 'code that nobody has looked at',
  maintain: 'upkeep',
};

/** What an approval agent may do. */
export function spellApprovalAgent({ owner, family, approves }: ApprovalAgent): readonly string[] {
  return [
    `Countersigns in ${approves.join(', ')} where one person is asked: what was measured, can be undone and has few enough rows.`,
    `Never what an agent of ${family} or of ${owner} proposed, or ${owner} asked for; and never in production.`,
    'Does nothing else: it opens no task, rejects nothing, and is counted with no person.',
  ];
}

/** What a person may do. */
export function spellPerson({ approves, breaksGlass, roles }: Person): readonly string[] {
  const places = (named: readonly string[]) => (named.includes('*') ? 'every environment' : named.join(', '));
  return roles.map((role) => {
    if (role === 'approver') return `Countersigns plans of ${places(approves)}, never those that they asked for.`;
    if (role === 'responder')
      return `Breaks the glass in ${places(breaksGlass)}: applies a plan alone, and somebody else reviews it.`;
    return DUTIES[role];
  });
}

const DUTIES: Readonly<Record<Exclude<Person['roles'][number], 'approver' | 'responder'>, string>> = {
  requester: 'Opens tasks for agents, applies what was approved, asks for changes to be taken back.',
  operator: 'Halts and resumes, closes tasks, ends sessions.',
  auditor: 'Reads everything, also the whole ledger, and changes nothing.',
  administrator: 'Reads and reloads the configuration; decides on no plan.',
};

const SHOWN = 6;

function spellPatterns(patterns: readonly string[]): string {
  const distinct = [...new Set(patterns)].map(spellPattern);
  if (distinct.length === 0) return 'nothing';
  const more = distinct.length - SHOWN;
  return more > 0 ? `${distinct.slice(0, SHOWN).join(', ')} and ${more} more` : distinct.join(', ');
}

function spellPattern(pattern: string): string {
  if (pattern === '*' || pattern === '*.*') return 'every table';
  const whole = /^([^.(]+)\.\*$/.exec(pattern)?.[1];
  return whole === undefined ? pattern : `every table of ${whole}`;
}

function span(ms: number): string {
  if (ms < 60_000) return `${Math.round(ms / 1000)} s`;
  return ms < 7_200_000 ? `${Math.round(ms / 60_000)} min` : `${Math.round(ms / 3_600_000)} h`;
}

function grouped(count: number): string {
  return count.toLocaleString('en-US');
}

import { millisecondsIn } from '../config/schema/values.ts';
import { describeDuration } from '../domain/describe-duration.ts';
import { type ActorId, instantOf } from '../domain/ids.ts';
import { decisionsByAgent, decisionsByPerson, type PersonDecisions, UNREAD_WITHIN_MS } from '../pipeline/decisions.ts';
import type { PlanView } from '../pipeline/gateway.ts';
import type { Countersign } from '../server/open-countersign.ts';
import { putSight } from '../store/decisions.ts';
import { StoreUnavailable } from '../store/store.ts';
import { personNamed } from './as-person.ts';
import { type CommonOptions, UsageError } from './command.ts';

export interface DecisionsOptions extends CommonOptions {
  readonly person?: string;
  readonly since: string;
}

/** What `countersign plan decisions` answers: how often each person decided, how fast, and how much of it unread. */
export async function showDecisions(countersign: Countersign, options: DecisionsOptions) {
  const lookBackMs = millisecondsIn(options.since);
  if (lookBackMs === undefined || lookBackMs === 0)
    throw new UsageError(`--since ${options.since} is no time to look back.`, 'Write a number and a unit: 12h, 30d.');
  const one = options.person === undefined ? undefined : personNamed(countersign, options.person, null).id;
  const nowMs = countersign.clock.now();
  const sinceMs = nowMs - lookBackMs;
  const all = await decisionsByPerson(countersign.store, { sinceMs, nowMs });
  const people = all.filter(({ person }) => one === undefined || person === one);
  const agents = one === undefined ? await decisionsByAgent(countersign.store, { sinceMs }) : [];
  return {
    json: { since: instantOf(sinceMs), unreadWithinMs: UNREAD_WITHIN_MS, people, agents },
    text: [
      ...(people.length === 0
        ? [`Nobody decided on a plan since ${instantOf(sinceMs)}.`]
        : [
            ...columns([HEAD, ...people.map(lineOf)]),
            '',
            `unread: approved within ${UNREAD_WITHIN_MS / 1000} s of first seeing it, or without having opened it`,
          ]),
      ...agents.map(
        ({ agent, approved }) => `${approved} approved by the approval agent ${agent}, looked at by nobody`,
      ),
    ].join('\n'),
  };
}

const HEAD = [
  'person',
  'approved',
  'by click',
  'rejected',
  'a day',
  'most in a day',
  'to decide',
  'since seen',
  'unread',
];

function lineOf(of: PersonDecisions): string[] {
  const share = of.approved === 0 ? '' : ` (${Math.round((100 * of.unread) / of.approved)} %)`;
  return [
    of.person,
    String(of.approved),
    String(of.clicked),
    String(of.rejected),
    of.perDay.toFixed(1),
    `${of.busiest.verdicts} on ${of.busiest.day}`,
    describeDuration(of.medianToDecideMs),
    of.medianFromSightMs === null ? 'never seen' : describeDuration(of.medianFromSightMs),
    `${of.unread} of ${of.approved}${share}`,
  ];
}

function columns(rows: readonly (readonly string[])[]): readonly string[] {
  const widths = HEAD.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
}

/** Keeps that a person has a plan before them. It measures how people decide, and proves nothing. */
export async function seen({ store, clock, log }: Countersign, { id }: PlanView, person: ActorId): Promise<void> {
  try {
    await store.commit([putSight({ plan: id, person, at: instantOf(clock.now()), by: 'cli' })]);
  } catch (error) {
    // A plan is shown also while nothing can be written.
    if (!(error instanceof StoreUnavailable)) throw error;
    log.warn({ err: error }, 'that the plan was seen could not be kept');
  }
}

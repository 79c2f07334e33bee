import type { Command } from 'commander';
import pc from 'picocolors';
import type { Trip } from '../domain/breaker.ts';
import { describeDuration } from '../domain/describe-duration.ts';
import { RefusalError } from '../domain/refusal.ts';
import { knownTrips } from '../ledger/known-trips.ts';
import type { BreakerStatus } from '../pipeline/breakers.ts';
import type { Countersign } from '../server/open-countersign.ts';
import { type Answer, answerWith, type CommonOptions, withCommonOptions } from './command.ts';
import { EXIT } from './exit.ts';

const LISTED = 20;

/** Adds `countersign breaker list|show`. */
export function registerBreaker(program: Command): void {
  const breaker = program.command('breaker').description('what stops an agent, a task or a target by itself');
  withCommonOptions(
    breaker
      .command('list')
      .description('which breakers are armed, which have tripped, and the last trips (1: one has tripped)'),
  ).action((options: CommonOptions) => answerWith(options, list, 'not needed'));
  withCommonOptions(
    breaker
      .command('show')
      .description('one trip with what led to it, and what to do')
      .argument('<trip>', 'the halt or the incident, or how it begins'),
  ).action((named: string, options: CommonOptions) =>
    answerWith(options, (countersign) => show(countersign, named), 'not needed'),
  );
}

async function list(countersign: Countersign): Promise<Answer> {
  const breakers = await countersign.breakers.status();
  const trips = await knownTrips(countersign.store, LISTED);
  const stopped = breakers.some(({ tripped }) => tripped.length > 0);
  return {
    json: { breakers, trips },
    text: [
      ...breakers.flatMap(statusLines),
      ...(trips.length === 0 ? [] : ['', pc.bold('Last trips')]),
      ...[...trips]
        .reverse()
        .map((trip) => `  ${trip.at}  ${trip.incident}  ${trip.breaker}: ${trip.scope.scope} ${trip.scope.id}`),
    ].join('\n'),
    ...(stopped ? { exit: EXIT.refused } : {}),
  };
}

function statusLines({ breaker, rule, tripped, halfOpen }: BreakerStatus): readonly string[] {
  const asked =
    rule === null
      ? 'off'
      : breaker === 'identity'
        ? 'at the first'
        : `at ${rule.max ?? 'what the role lets one task change'} within ${describeDuration(rule.withinMs)}`;
  const state = tripped.length > 0 ? pc.red('TRIPPED') : rule === null ? pc.dim('off    ') : pc.green('armed  ');
  return [
    `${state}  ${breaker.padEnd(14)} ${rule === null ? '' : asked}`.trimEnd(),
    ...tripped.flatMap(({ scope, at, reason }) =>
      scope.scope === 'global'
        ? []
        : [
            `         ${scope.scope} ${scope.id} is stopped since ${at}: ${reason}`,
            `         → countersign resume --${scope.scope} ${scope.id} --reason '…'`,
          ],
    ),
    ...halfOpen.map(
      ({ scope, until }) => `         ${scope.scope} ${scope.id} was let go on: until ${until} less is enough`,
    ),
  ];
}

async function show(countersign: Countersign, named: string): Promise<Answer> {
  const found = (await knownTrips(countersign.store)).filter(
    ({ halt, incident }) => halt.startsWith(named) || incident.startsWith(named),
  );
  const [trip] = found;
  if (trip === undefined || found.length > 1)
    throw new RefusalError({
      refused: 'denied',
      message: trip === undefined ? `No breaker has tripped as ${named}.` : `${named} may be several.`,
      hint: '`countersign breaker list` shows the last ones.',
    });
  const active = countersign.halts.active().some(({ id }) => id === trip.halt);
  return { json: { ...trip, active }, text: tripText(trip, active) };
}

function tripText(trip: Trip & { readonly target: string | null }, active: boolean): string {
  const { scope } = trip;
  return [
    pc.bold(
      `${trip.incident}: the breaker ${trip.breaker} has stopped the ${scope.scope} ${scope.id}${trip.again ? ', again' : ''}`,
    ),
    `when      ${trip.at}${active ? '' : ' (a person has let it go on since)'}`,
    `why       ${trip.reason}`,
    `owner     ${trip.owner ?? 'nobody that the configuration knows'}${trip.agent === null ? '' : `, of the agent ${trip.agent}`}`,
    '',
    ...trip.timeline.map(({ at, what, entry }) => `  ${at}  ${what}  ${pc.dim(`(entry ${entry})`)}`),
    '',
    ...(active ? [`→ Let it go on:   countersign resume --${scope.scope} ${scope.id} --reason '…'`] : []),
    ...(trip.target === null ? [] : [`→ If harm was done: countersign incident playbook --target ${trip.target}`]),
  ].join('\n');
}

import type { Command } from 'commander';
import pc from 'picocolors';
import { signReview } from '../approval/incident-review.ts';
import { asId, instantOf, type PlanId } from '../domain/ids.ts';
import { shortId } from '../domain/plan.ts';
import { visible } from '../domain/visible.ts';
import type { IncidentView } from '../pipeline/incidents.ts';
import { glassOf } from '../server/glass.ts';
import type { Countersign } from '../server/open-countersign.ts';
import { keyOf, personNamed } from './as-person.ts';
import { type Answer, answerWith, type CommonOptions, orRefused, UsageError, withCommonOptions } from './command.ts';

interface ReviewOptions extends CommonOptions {
  readonly as: string;
  readonly reason: string;
  readonly key?: string;
}

/** Adds `countersign incident list|show|review`. */
export function registerIncidentReview(incident: Command): void {
  withCommonOptions(incident.command('list').description('broken glass, the newest first'))
    .option('--unreviewed', 'only what nobody has looked at')
    .action((options: CommonOptions & { readonly unreviewed?: boolean }) =>
      answerWith(options, (countersign) => list(countersign, options.unreviewed === true), 'not needed'),
    );
  withCommonOptions(
    incident
      .command('show <incident>')
      .description('who broke the glass, why, what was done, and who has looked at it'),
  ).action((id: string, options: CommonOptions) =>
    answerWith(options, (countersign) => show(countersign, id), 'not needed'),
  );
  withCommonOptions(incident.command('review <incident>').description('sign that you have looked at what was done'))
    .requiredOption('--as <person>', 'who you are: somebody else than who broke the glass')
    .requiredOption('--reason <text>', 'what you make of it; it is signed along')
    .option('--key <file>', 'your private key (default: keys/people/<person>.key beside the configuration)')
    .action((id: string, options: ReviewOptions) =>
      answerWith(options, (countersign) => review(countersign, id, options), 'not needed'),
    );
}

async function list(countersign: Countersign, unreviewed: boolean): Promise<Answer> {
  const found = await (await glassOf(countersign)).incidents.list(unreviewed ? { unreviewed } : {});
  return { json: { incidents: found }, text: found.map(line).join('\n') || 'There are none.' };
}

function line({ id, plan, person, openedAt, statement, review: looked }: IncidentView): string {
  const state = looked === null ? pc.red('not reviewed') : `reviewed by ${looked.by}`;
  return `${id}  ${openedAt}  ${state}\n    ${person} broke the glass for plan ${shortId(plan)} in ${statement.environment}: ${visible(statement.reason)}`;
}

async function show(countersign: Countersign, id: string): Promise<Answer> {
  const found = await (await glassOf(countersign)).incidents.show(id);
  if (found === undefined) throw unknownIncident(id);
  const { statement, review: looked, timeline } = found;
  return {
    json: found,
    text: [
      `${pc.bold(found.id)}  ${looked === null ? pc.red('not reviewed') : `reviewed by ${looked.by} at ${looked.at}`}`,
      `by        ${found.person} at ${statement.at}: ${visible(statement.reason)}`,
      `plan      ${shortId(found.plan)} on ${found.target} in ${statement.environment}: it is ${found.state}`,
      `without   ${statement.standsInFor.join(', ')}`,
      `owner     ${found.owner ?? 'nobody: the target is no longer configured'}`,
      'timeline',
      ...timeline.map(
        ({ index, at, kind, by, said }) =>
          `  ${String(index).padStart(6)}  ${at}  ${kind.padEnd(15)}  ${[by, said]
            .filter((one) => one !== null)
            .map(visible)
            .join(': ')}`,
      ),
      '',
      `${pc.dim('next')}      countersign plan show ${shortId(found.plan)}`,
      ...(looked === null ? [`          countersign incident review ${found.id} --as PERSON --reason TEXT`] : []),
      ...(found.state === 'applied' ? [`          countersign change undo ${shortId(found.plan)} --as PERSON`] : []),
    ].join('\n'),
  };
}

async function review(countersign: Countersign, id: string, options: ReviewOptions): Promise<Answer> {
  const person = personNamed(countersign, options.as, 'incident.review');
  const key = keyOf(countersign, person, options.key);
  if (options.reason.trim() === '') throw new UsageError('--reason is empty.', 'Say what you make of it.');
  const glass = await glassOf(countersign);
  const found = await glass.incidents.show(id);
  if (found === undefined) throw unknownIncident(id);
  const envelope = signReview(
    {
      type: 'https://countersign.dev/incident-review/v1',
      incident: found.id,
      plan: asId<PlanId>(found.plan),
      person: person.id,
      reason: options.reason.trim(),
      at: instantOf(countersign.clock.now()),
    },
    key,
  );
  orRefused(await glass.incidents.review(found.id, envelope));
  return {
    json: { incident: found.id, reviewedBy: person.id },
    text: `${person.id} has reviewed ${found.id}.`,
  };
}

function unknownIncident(id: string): UsageError {
  return new UsageError(`There is no incident ${id}.`, '`countersign incident list` shows them.');
}

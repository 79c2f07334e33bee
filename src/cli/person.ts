import type { Command } from 'commander';
import pc from 'picocolors';
import { openDelegation, signDelegation, signDelegationEnd } from '../approval/delegation.ts';
import { asId, type EnvironmentId, instantOf } from '../domain/ids.ts';
import { visible } from '../domain/visible.ts';
import type { Countersign } from '../server/open-countersign.ts';
import { keyOf, personNamed } from './as-person.ts';
import { type Answer, answerWith, type CommonOptions, orRefused, UsageError, withCommonOptions } from './command.ts';

interface SignedOptions extends CommonOptions {
  readonly as: string;
  readonly key?: string;
  readonly reason: string;
}

interface DelegateOptions extends SignedOptions {
  readonly to: string;
  readonly environment: string;
  readonly until: string;
}

/** Adds `countersign person delegate|delegations|end-delegation`. */
export function registerPerson(program: Command): void {
  const person = program.command('person').description('people, and who decides in their place while they are away');
  signed(person.command('delegate').description('let another approver countersign in your place for a time'))
    .requiredOption('--to <person>', 'who: somebody who may countersign elsewhere')
    .requiredOption('--environment <name>', 'where; it counts in no other')
    .requiredOption('--until <date>', 'a day, to its end in UTC, or a moment: 2026-12-24 or 2026-12-24T18:00:00Z')
    .action((options: DelegateOptions) => answerWith(options, (countersign) => delegate(countersign, options)));
  withCommonOptions(person.command('delegations').description('who decides in whose place, until when')).action(
    (options: CommonOptions) => answerWith(options, list, 'not needed'),
  );
  signed(person.command('end-delegation <delegation>').description('end one before its time')).action(
    (id: string, options: SignedOptions) => answerWith(options, (countersign) => end(countersign, id, options)),
  );
}

function signed(command: Command): Command {
  return withCommonOptions(command)
    .requiredOption('--as <person>', 'who you are, as the configuration names you')
    .requiredOption('--reason <text>', 'why; it is signed along')
    .option('--key <file>', 'your private key (default: keys/people/<person>.key beside the configuration)');
}

async function delegate(countersign: Countersign, options: DelegateOptions): Promise<Answer> {
  const person = personNamed(countersign, options.as, 'plan.decide');
  const to = personNamed(countersign, options.to, null);
  const until = momentOf(options.until);
  if (!countersign.config.environments.has(asId<EnvironmentId>(options.environment)))
    throw new UsageError(
      `There is no environment ${options.environment}.`,
      `There are ${[...countersign.config.environments.keys()].join(', ')}.`,
    );
  const envelope = signDelegation(
    {
      type: 'https://countersign.dev/delegation/v1',
      person: person.id,
      to: to.id,
      environment: asId<EnvironmentId>(options.environment),
      reason: reasonOf(options),
      at: instantOf(countersign.clock.now()),
      until,
    },
    keyOf(countersign, person, options.key),
  );
  const { delegation } = orRefused(await countersign.delegations.receive(envelope));
  return {
    json: { delegation: delegation.id, person: person.id, to: to.id, environment: delegation.environment, until },
    text: [
      `${to.id} countersigns in ${delegation.environment} in the place of ${person.id} until ${until} (${delegation.id}).`,
      `Both of you count as one, and neither decides on what one of you asked for.`,
      `→ To end it before: countersign person end-delegation ${delegation.id} --as ${person.id} --reason TEXT`,
    ].join('\n'),
  };
}

const DAY = /^\d{4}-\d\d-\d\d$/;

function momentOf(text: string) {
  const ms = Date.parse(DAY.test(text) ? `${text}T23:59:59.999Z` : text);
  if (Number.isNaN(ms) || (!DAY.test(text) && !/(?:Z|[+-]\d\d:\d\d)$/.test(text)))
    throw new UsageError(`--until ${text} is no day and no moment.`, 'Write 2026-12-24, or 2026-12-24T18:00:00Z.');
  return instantOf(ms);
}

function reasonOf({ reason }: SignedOptions): string {
  if (reason.trim() === '') throw new UsageError('--reason is empty.', 'Say why: it stands in the ledger.');
  return reason.trim();
}

async function list({ delegations }: Countersign): Promise<Answer> {
  const found = (await delegations.list()).flatMap(({ id, envelope, why }) => {
    const opened = openDelegation(envelope);
    if (!opened.opened) return [];
    const { person, to, environment, until, reason } = opened.statement;
    return [{ delegation: id, person, to, environment, until, reason, stands: why === null, why }];
  });
  const lines = found.map(
    ({ delegation, person, to, environment, until, reason, why }) =>
      `${why === null ? pc.green('stands') : pc.dim('over  ')}  ${delegation}  ${to} in the place of ${person} in ${environment} until ${until}\n        ${visible(reason)}${why === null ? '' : ` (${why})`}`,
  );
  return { json: { delegations: found }, text: lines.join('\n') || 'Nobody decides in anybody’s place.' };
}

async function end(countersign: Countersign, id: string, options: SignedOptions): Promise<Answer> {
  const person = personNamed(countersign, options.as, null);
  const envelope = signDelegationEnd(
    {
      type: 'https://countersign.dev/delegation-end/v1',
      delegation: id,
      person: person.id,
      reason: reasonOf(options),
      at: instantOf(countersign.clock.now()),
    },
    keyOf(countersign, person, options.key),
  );
  orRefused(await countersign.delegations.end(id, envelope));
  return { json: { ended: id, by: person.id }, text: `${id} is over: what was signed by it counts no more.` };
}

import { type Command, Option } from 'commander';
import { millisecondsIn } from '../config/schema/values.ts';
import { RefusalError } from '../domain/refusal.ts';
import { mayDo, noRight, type Right } from '../domain/rights.ts';
import { TOKEN_RIGHTS } from '../identity/api-tokens.ts';
import type { Countersign } from '../server/open-countersign.ts';
import { keyOf, personNamed } from './as-person.ts';
import { answerWith, type CommonOptions, UsageError, withCommonOptions } from './command.ts';

interface CreateOptions extends CommonOptions {
  readonly as: string;
  readonly key?: string;
  readonly name: string;
  readonly right: readonly Right[];
  readonly expires: string;
}

interface RevokeOptions extends CommonOptions {
  readonly as: string;
  readonly reason: string;
}

const LONGEST_MS = 366 * 24 * 3_600_000;

/** Adds `countersign token create|list|revoke`. */
export function registerToken(program: Command): void {
  const token = program.command('token').description('tokens with which programs of yours use the HTTP API as you');
  withCommonOptions(token.command('create').description('make one, signed with your own key; it is shown once'))
    .requiredOption('--as <person>', 'who you are, as the configuration names you')
    .requiredOption('--name <text>', 'what it is for')
    .addOption(
      new Option('--right <right...>', 'what it may do, of what you may').choices(TOKEN_RIGHTS).makeOptionMandatory(),
    )
    .option('--expires <duration>', 'after which time it is worth nothing, at most 366d', '30d')
    .option('--key <file>', 'your private key (default: keys/people/<person>.key beside the configuration)')
    .action((options: CreateOptions) =>
      answerWith(options, (countersign) => create(countersign, options), 'not needed'),
    );
  withCommonOptions(
    token.command('list').description('list tokens that are not over, the next to expire first'),
  ).action((options: CommonOptions) => answerWith(options, list, 'not needed'));
  withCommonOptions(token.command('revoke <token>').description('make a token worth nothing, at once'))
    .requiredOption('--as <person>', 'who you are, as the configuration names you')
    .option('--reason <text>', 'why; it is recorded', 'revoked')
    .action((id: string, options: RevokeOptions) =>
      answerWith(options, (countersign) => revoke(countersign, id, options), 'not needed'),
    );
}

async function create(countersign: Countersign, options: CreateOptions) {
  const person = personNamed(countersign, options.as, 'token.own');
  const missing = options.right.find((right) => !mayDo(person, right));
  if (missing !== undefined) throw new RefusalError(noRight(person, missing));
  const lifetimeMs = millisecondsIn(options.expires);
  if (lifetimeMs === undefined || lifetimeMs > LONGEST_MS)
    throw new UsageError(`--expires ${options.expires} is no duration up to 366d.`, 'Write 1h, 30d …');
  const made = await countersign.identity.tokens.create(person, keyOf(countersign, person, options.key), {
    name: options.name,
    rights: options.right,
    lifetimeMs,
  });
  return {
    json: made,
    text: `${made.id} for ${person.id}, until ${made.expires}: ${made.rights.join(', ')}\n\n  ${made.token}\n\nIt is shown this once. Send it as \`Authorization: Bearer …\`. It approves nothing.`,
  };
}

async function list({ identity }: Countersign) {
  const tokens = await identity.tokens.list();
  const lines = tokens.map(
    ({ id, person, name, rights, expires }) => `${id}  ${person}  until ${expires}  ${name}: ${rights.join(', ')}`,
  );
  return { json: { tokens }, text: lines.join('\n') || 'There are no tokens of people.' };
}

async function revoke(countersign: Countersign, id: string, options: RevokeOptions) {
  const person = personNamed(countersign, options.as, null);
  const owner = (await countersign.identity.tokens.list()).find((token) => token.id === id)?.person;
  if (owner !== undefined && owner !== person.id && !mayDo(person, 'session.revoke'))
    throw new RefusalError(noRight(person, 'session.revoke'));
  if (owner === undefined || !(await countersign.identity.tokens.revoke(id, person.id, options.reason))) {
    throw new RefusalError({
      refused: 'denied',
      message: `There is no token ${id}.`,
      hint: '`countersign token list` shows them.',
    });
  }
  return { json: { revoked: id }, text: `${id} is worth nothing any more.` };
}

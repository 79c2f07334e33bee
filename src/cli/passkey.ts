import { confirm, isCancel } from '@clack/prompts';
import type { Command } from 'commander';
import { signPasskey } from '../approval/passkey.ts';
import { RefusalError } from '../domain/refusal.ts';
import { mayDo } from '../domain/rights.ts';
import type { Countersign } from '../server/open-countersign.ts';
import { keyOf, personNamed } from './as-person.ts';
import { answerWith, type CommonOptions, orRefused, withCommonOptions } from './command.ts';
import { EXIT } from './exit.ts';

interface PersonOptions extends CommonOptions {
  readonly as: string;
  readonly key?: string;
  readonly reason: string;
  readonly yes?: boolean;
}

/** Adds `countersign passkey list|confirm|revoke`. */
export function registerPasskey(program: Command): void {
  const passkey = program.command('passkey').description('passkeys: with which people sign in and countersign');
  withCommonOptions(passkey.command('list').description('list the passkeys of everybody')).action(
    (options: CommonOptions) => answerWith(options, list, 'not needed'),
  );
  personal(
    passkey.command('confirm <passkey>').description('vouch with your own key for a passkey that you registered'),
  )
    .option('--yes', 'don’t ask')
    .action((id: string, options: PersonOptions) =>
      answerWith(options, (countersign) => vouch(countersign, id, options), 'not needed'),
    );
  withCommonOptions(
    passkey.command('revoke <passkey>').description('take a passkey back: it counts no more, from now on'),
  )
    .requiredOption('--as <person>', 'who you are, as the configuration names you')
    .option('--reason <text>', 'why; it is recorded', 'revoked')
    .action((id: string, options: PersonOptions) =>
      answerWith(options, (countersign) => revoke(countersign, id, options), 'not needed'),
    );
}

function personal(command: Command): Command {
  return withCommonOptions(command)
    .requiredOption('--as <person>', 'who you are, as the configuration names you')
    .option('--key <file>', 'your private key (default: keys/people/<person>.key beside the configuration)');
}

async function list({ identity }: Countersign) {
  const passkeys = await identity.passkeys.list();
  const lines = passkeys.map(
    ({ id, person, origin, registeredAt, confirmed }) =>
      `${id}  ${person.padEnd(16)}  ${confirmed ? 'counts     ' : 'unconfirmed'}  ${origin}  since ${registeredAt}`,
  );
  return { json: { passkeys }, text: lines.join('\n') || 'Nobody has registered a passkey.' };
}

async function vouch(countersign: Countersign, id: string, options: PersonOptions) {
  const person = personNamed(countersign, options.as, 'passkey.own');
  const key = keyOf(countersign, person, options.key);
  const statement = await countersign.identity.passkeys.statement(id);
  if (statement?.person !== person.id) {
    throw new RefusalError({
      refused: 'denied',
      message: statement === undefined ? `There is no passkey ${id}.` : `${id} was registered by ${statement.person}.`,
      hint: 'Vouch only for what you registered yourself, and only if your browser shows the same id.',
    });
  }
  const asked = options.yes !== true && options.json !== true && process.stdin.isTTY && process.stdout.isTTY;
  const message = `Does your browser show ${id}, which you registered on ${statement.origin} at ${statement.at}?`;
  const sure = asked ? await confirm({ message, initialValue: false }) : true;
  if (isCancel(sure) || !sure) return { json: { confirmed: false }, text: 'Nothing was done.', exit: EXIT.refused };
  const { passkey } = orRefused(await countersign.identity.passkeys.confirm(signPasskey(statement, key)));
  return { json: { passkey }, text: `${id} counts from now on: ${person.id} can sign in and countersign with it.` };
}

async function revoke(countersign: Countersign, id: string, options: PersonOptions) {
  const person = personNamed(countersign, options.as, 'passkey.own');
  const owner = (await countersign.identity.passkeys.list()).find((passkey) => passkey.id === id)?.person;
  if (owner !== undefined && owner !== person.id && !mayDo(person, 'passkey.revoke')) {
    throw new RefusalError({
      refused: 'denied',
      message: `${id} is ${owner}’s, and ${person.id} may take back their own only.`,
      hint: 'An administrator may take back those of others.',
    });
  }
  if (owner === undefined || !(await countersign.identity.passkeys.revoke(id, person.id, options.reason))) {
    throw new RefusalError({
      refused: 'denied',
      message: `There is no passkey ${id}.`,
      hint: '`countersign passkey list` shows them.',
    });
  }
  return { json: { revoked: id }, text: `${id} counts no more. What was signed with it before stands.` };
}

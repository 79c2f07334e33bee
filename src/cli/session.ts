import type { Command } from 'commander';
import { RefusalError } from '../domain/refusal.ts';
import { mayDo } from '../domain/rights.ts';
import type { Countersign } from '../server/open-countersign.ts';
import { personNamed } from './as-person.ts';
import { answerWith, type CommonOptions, operatingSystemUser, UsageError, withCommonOptions } from './command.ts';

interface RevokeOptions extends CommonOptions {
  readonly person?: string;
  readonly as?: string;
  readonly reason: string;
}

/** Adds `countersign session list|revoke`. */
export function registerSession(program: Command): void {
  const session = program.command('session').description('who is signed in to the console');
  withCommonOptions(session.command('list').description('list open sessions, the newest first')).action(
    (options: CommonOptions) => answerWith(options, list, 'not needed'),
  );
  withCommonOptions(session.command('revoke [session]').description('end a session, or all of a person, at once'))
    .option('--person <person>', 'every session of this person')
    .option('--as <person>', 'who you are (default: the user of the machine)')
    .option('--reason <text>', 'why; it is recorded', 'revoked')
    .action((id: string | undefined, options: RevokeOptions) =>
      answerWith(options, (countersign) => revoke(countersign, id, options), 'not needed'),
    );
}

async function list({ identity }: Countersign) {
  const sessions = await identity.sessions.all();
  const lines = sessions.map(
    ({ id, person, via, since, expires }) =>
      `${id}  ${person.padEnd(16)}  by ${via.padEnd(7)}  since ${since}  until ${expires}`,
  );
  return { json: { sessions }, text: lines.join('\n') || 'Nobody is signed in.' };
}

async function revoke(countersign: Countersign, id: string | undefined, { person, as, reason }: RevokeOptions) {
  if ((id === undefined) === (person === undefined))
    throw new UsageError('Which sessions?', 'Name one as `session list` shows it, or a person with --person.');
  const found = (await countersign.identity.sessions.all()).filter(
    (session) => session.id === id || session.person === person,
  );
  const by = as === undefined ? undefined : personNamed(countersign, as, null);
  if (by !== undefined && !mayDo(by, 'session.revoke') && found.some((session) => session.person !== by.id)) {
    throw new RefusalError({
      refused: 'denied',
      message: `${by.id} may end their own sessions only.`,
      hint: 'An operator or an administrator may end those of others.',
    });
  }
  const ended: string[] = [];
  for (const session of found) {
    if (await countersign.identity.sessions.end(session.id, reason, by?.id ?? operatingSystemUser()))
      ended.push(session.id);
  }
  if (ended.length === 0) {
    throw new RefusalError({
      refused: 'denied',
      message: `There is no open session ${id ?? `of ${person}`}.`,
      hint: '`countersign session list` shows them.',
    });
  }
  return { json: { ended }, text: `Ended: ${ended.join(', ')}.` };
}

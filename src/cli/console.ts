import type { Command } from 'commander';
import { hasNothing } from '../approval/sign-in.ts';
import type { Person } from '../domain/actor.ts';
import { RefusalError } from '../domain/refusal.ts';
import type { Countersign } from '../server/open-countersign.ts';
import { liveNodes } from '../store/nodes.ts';
import { keyOf, personNamed } from './as-person.ts';
import { answerWith, type CommonOptions, withCommonOptions } from './command.ts';

interface LoginOptions extends CommonOptions {
  readonly as: string;
  readonly key?: string;
  readonly first?: boolean;
}

/** Adds `countersign console login`. */
export function registerConsole(program: Command): void {
  const console = program.command('console').description('the web console of a running gateway');
  withCommonOptions(
    console
      .command('login')
      .description('sign in to the console with your own key: prints an address that is good once'),
  )
    .requiredOption('--as <person>', 'who you are, as the configuration names you')
    .option('--key <file>', 'your private key (default: keys/people/<person>.key beside the configuration)')
    .option('--first', 'for who has no key and no passkey yet: the machine vouches, and they can register their first')
    .action((options: LoginOptions) => answerWith(options, (countersign) => login(countersign, options), 'not needed'));
}

async function login(countersign: Countersign, options: LoginOptions) {
  const person = personNamed(countersign, options.as, null);
  if (hasNothing(person) && options.first !== true) {
    throw new RefusalError({
      refused: 'denied',
      message: `${person.id} has neither a key nor a passkey yet.`,
      hint: `Whoever runs the gateway lets them register their first: countersign console login --as ${person.id} --first`,
    });
  }
  const key = options.first === true ? firstOf(person) : keyOf(countersign, person, options.key);
  const address = await consoleAddress(countersign);
  const { token, expires } = await countersign.identity.codes.offer(person, key);
  // After the hash: browsers send it to nobody, and no log has it.
  const url = `${address}/sign-in#${token}`;
  return {
    json: { url, person: person.id, expires },
    text: `Open this address in your browser. It signs you in as ${person.id}, once, until ${expires}:\n\n  ${url}`,
  };
}

/** @throws RefusalError for anybody who can vouch for themselves. */
function firstOf(person: Person): 'the machine' {
  if (hasNothing(person)) return 'the machine';
  throw new RefusalError({
    refused: 'denied',
    message: `${person.id} has a key or a passkey already, and signs in with that.`,
    hint: 'Leave --first out. Whoever has lost all of theirs: take the keys out of the configuration, revoke the passkeys, and begin anew.',
  });
}

/** @throws RefusalError when no gateway serves it. */
async function consoleAddress({ store, config }: Countersign): Promise<string> {
  const node = (await liveNodes(store, await store.nowMs())).find(({ http }) => http !== '');
  if (node === undefined) {
    throw new RefusalError({
      refused: 'unavailable',
      message: 'No gateway is running that could serve the console.',
      hint: 'Start one: countersign serve',
    });
  }
  if (config.reachedAt !== null) return config.reachedAt.http;
  // Passkeys belong to a name, never to an address (WebAuthn §5.1.2): so that one can be registered, it is a name from the start.
  return node.http.replace(/^http:\/\/(127\.0\.0\.1|\[::1\])(?=:)/, 'http://localhost');
}

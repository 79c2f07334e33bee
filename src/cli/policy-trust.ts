import type { Command } from 'commander';
import pc from 'picocolors';
import { namedOperators, namedRoutines } from '../analysis/name-code.ts';
import { signVoucher } from '../approval/voucher.ts';
import { asId, instantOf, type TargetId } from '../domain/ids.ts';
import { RefusalError } from '../domain/refusal.ts';
import type { VoucherStatement } from '../domain/voucher.ts';
import type { Catalogue, Routine } from '../engines/catalogue.ts';
import type { Countersign } from '../server/open-countersign.ts';
import { keyOf, personNamed } from './as-person.ts';
import { answerWith, type CommonOptions, orRefused, UsageError, withCommonOptions } from './command.ts';

interface TrustOptions extends CommonOptions {
  readonly target: string;
  readonly as: string;
  readonly reason: string;
  readonly key?: string;
}

/** Adds `countersign policy trust function|operator|revoke|list`. */
export function registerTrust(policy: Command): void {
  const trust = policy
    .command('trust')
    .description('vouch for code of a target, so that what only reads through it need not be held');

  signed(
    trust
      .command('function <signature>')
      .description('vouch that schema.name(types), as it is defined now, only reads'),
  ).action((named: string, options: TrustOptions) =>
    answerWith(options, async (countersign) => {
      const catalogue = await catalogueOf(countersign, options.target);
      return vouch(countersign, [one(named, namedRoutines(named, catalogue), catalogue)], options);
    }),
  );
  signed(trust.command('operator <signature>').description('the same for what schema.symbol(types) runs')).action(
    (named: string, options: TrustOptions) =>
      answerWith(options, async (countersign) => {
        const catalogue = await catalogueOf(countersign, options.target);
        return vouch(countersign, operatorRuns(named, catalogue), options);
      }),
  );
  signed(trust.command('revoke <signature>').description('vouch for a function no longer')).action(
    (named: string, options: TrustOptions) => answerWith(options, (countersign) => revoke(countersign, named, options)),
  );
  withCommonOptions(
    trust.command('list').description('what is vouched for, by whom, and whether it is still so defined'),
  )
    .option('--target <name>', 'one target')
    .action((options: CommonOptions & { readonly target?: string }) =>
      answerWith(options, (countersign) => list(countersign, options.target)),
    );
}

function signed(command: Command): Command {
  return withCommonOptions(command)
    .requiredOption('--target <name>', 'where; it counts on no other target')
    .requiredOption('--as <person>', 'who you are, as the configuration names you')
    .requiredOption('--reason <text>', 'why; it is signed along')
    .option('--key <file>', 'your private key (default: keys/people/<person>.key beside the configuration)');
}

async function catalogueOf(countersign: Countersign, target: string): Promise<Catalogue> {
  const governed = await countersign.target(asId<TargetId>(target));
  if ('refused' in governed) throw new RefusalError(governed);
  return governed.catalogue();
}

/** Exactly one function, or what to write instead. */
function one(named: string, found: readonly Routine[], catalogue: Catalogue): Routine {
  const [routine, ...others] = found;
  if (routine !== undefined && others.length === 0) return trustable(routine);
  const bare = named.replace(/\(.*$/, '').split('.').at(-1) ?? named;
  const similar = others.length > 0 ? found : (catalogue.functions.get(bare) ?? []).filter(({ builtIn }) => !builtIn);
  throw new UsageError(
    routine === undefined ? `There is no function ${named}.` : `${named} may be several functions.`,
    similar.length === 0
      ? 'Write it as the held reply names it: schema.name(type, type).'
      : `Write one of: ${similar.map(({ signature }) => `'${signature}'`).join(', ')}.`,
  );
}

function trustable(routine: Routine): Routine {
  if (routine.definition !== null) return routine;
  throw new UsageError(
    `${routine.signature} is ${routine.builtIn ? 'the server’s own' : 'an aggregate'}.`,
    routine.builtIn
      ? 'What it does is known: it is not held for that.'
      : `Vouch for the functions that it runs: ${routine.runs.join(', ')}.`,
  );
}

function operatorRuns(named: string, catalogue: Catalogue): readonly Routine[] {
  const found = namedOperators(named, catalogue);
  const [operator] = found;
  if (operator === undefined)
    throw new UsageError(
      `There is no operator ${named}.`,
      'Write it as the held reply names it: schema.symbol(type, type).',
    );
  if (found.length > 1)
    throw new UsageError(
      `${named} may be several operators.`,
      `Write one of: ${found.map(({ signature }) => `'${signature}'`).join(', ')}.`,
    );
  const routines = operator.functions.flatMap((signature) => namedRoutines(signature, catalogue));
  return routines.filter(({ builtIn }) => !builtIn).map(trustable);
}

async function vouch(countersign: Countersign, routines: readonly Routine[], options: TrustOptions) {
  for (const { signature, definition } of routines)
    await send(countersign, { signature, definition: definition ?? '', verdict: 'trust' }, options);
  const trusted = routines.map(({ signature }) => signature);
  return {
    json: { target: options.target, trusted, person: options.as },
    text: [
      `${options.as} vouches for ${trusted.join(' and ')} on ${options.target}, as defined now.`,
      'What reads through it runs in a read-only transaction; once it is changed it is unknown again.',
    ].join('\n'),
  };
}

async function revoke(countersign: Countersign, named: string, options: TrustOptions) {
  const counts = countersign.vouchers.on(asId<TargetId>(options.target));
  const known = counts.find(({ signature }) => signature.replaceAll(' ', '') === named.replaceAll(' ', ''));
  if (known === undefined)
    throw new UsageError(
      `Nobody vouches for ${named} on ${options.target}.`,
      '`countersign policy trust list` shows what counts.',
    );
  await send(countersign, { signature: known.signature, definition: known.definition, verdict: 'revoke' }, options);
  return {
    json: { target: options.target, revoked: known.signature, person: options.as },
    text: `Nobody vouches for ${known.signature} on ${options.target} any more.`,
  };
}

async function send(
  countersign: Countersign,
  about: Pick<VoucherStatement, 'signature' | 'definition' | 'verdict'>,
  options: TrustOptions,
): Promise<void> {
  const person = personNamed(countersign, options.as, 'code.vouch');
  const configured = countersign.config.targets.get(asId<TargetId>(options.target));
  if (configured === undefined)
    throw new UsageError(`There is no target ${options.target}.`, 'The configuration names them.');
  const { id, environment, identity } = configured.target;
  const statement: VoucherStatement = {
    type: 'https://countersign.dev/voucher/v1',
    target: id,
    environment,
    identity,
    ...about,
    person: person.id,
    reason: options.reason,
    at: instantOf(countersign.clock.now()),
  };
  orRefused(await countersign.vouchers.receive(signVoucher(statement, keyOf(countersign, person, options.key))));
}

async function list(countersign: Countersign, only: string | undefined) {
  const targets = [...countersign.config.targets.keys()].filter((id) => only === undefined || id === only);
  const trusted = [];
  for (const target of targets) {
    const counts = countersign.vouchers.on(target);
    if (counts.length === 0) continue;
    const catalogue = await catalogueOf(countersign, target);
    for (const { signature, person, reason, at, definition } of counts) {
      const now = namedRoutines(signature, catalogue)[0]?.definition;
      const state = now === definition ? 'in force' : now === undefined ? 'gone' : 'changed since';
      trusted.push({ target, signature, person, reason, at, state });
    }
  }
  const lines = trusted.map(
    ({ target, signature, person, reason, at, state }) =>
      `${state === 'in force' ? pc.green(state) : pc.yellow(state)}  ${target}  ${signature}\n    ${pc.dim(`${person} at ${at}: ${reason}`)}`,
  );
  return { json: { trusted }, text: lines.join('\n') || 'Nobody vouches for any code.' };
}

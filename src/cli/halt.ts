import type { Command } from 'commander';
import type { HaltScope } from '../domain/halt.ts';
import { type ActorId, asId } from '../domain/ids.ts';
import { RefusalError } from '../domain/refusal.ts';
import type { Countersign } from '../server/open-countersign.ts';
import { liveNodes } from '../store/nodes.ts';
import { personNamed } from './as-person.ts';
import { answerWith, type CommonOptions, operatingSystemUser, UsageError, withCommonOptions } from './command.ts';

interface HaltOptions extends CommonOptions {
  readonly agent?: string;
  readonly task?: string;
  readonly target?: string;
  readonly reason: string;
  readonly as?: string;
}

/** Adds `countersign halt` and `countersign resume`. */
export function registerHalt(program: Command): void {
  scoped(
    program
      .command('halt')
      .description('stop: cancel what runs, refuse what comes, until resumed; without a scope, everything'),
  ).action((options: HaltOptions) => answerWith(options, (countersign) => halt(countersign, options), 'not needed'));
  scoped(program.command('resume').description('lift the halts of exactly this scope')).action((options: HaltOptions) =>
    answerWith(options, (countersign) => resume(countersign, options), 'not needed'),
  );
}

function scoped(command: Command): Command {
  return withCommonOptions(command)
    .option('--agent <name>', 'one agent')
    .option('--task <task>', 'one task')
    .option('--target <name>', 'one target')
    .option('--as <person>', 'who you are (default: the user of the machine)')
    .requiredOption('--reason <text>', 'why; it is shown to whoever is stopped');
}

async function halt(countersign: Countersign, options: HaltOptions) {
  const scope = scopeOf(options);
  const made = await countersign.halts.halt(scope, options.reason, whoOf(countersign, options));
  const gateways = (await liveNodes(countersign.store, await countersign.store.nowMs())).filter(({ pg }) => pg !== '');
  return {
    json: { halt: made.id, ...scope, at: made.at, by: made.by, gateways: gateways.length },
    text: `Halted: ${scopeText(scope)}. ${gateways.length === 0 ? 'No gateway is running.' : `${gateways.length} running gateway${gateways.length === 1 ? '' : 's'} stop${gateways.length === 1 ? 's' : ''} what runs now.`}\n→ Lift it with: countersign resume${scope.scope === 'global' ? '' : ` --${scope.scope} ${scope.id}`} --reason '…'`,
  };
}

async function resume(countersign: Countersign, options: HaltOptions) {
  const scope = scopeOf(options);
  const lifted = await countersign.halts.resume(scope, options.reason, whoOf(countersign, options));
  if (lifted.length === 0) {
    const others = countersign.halts.active().map((other) => scopeText(other.scope));
    throw new RefusalError({
      refused: 'denied',
      message: `Nothing is halted for ${scopeText(scope)}.`,
      hint: others.length === 0 ? 'Nothing is halted at all.' : `Halted are: ${others.join('; ')}.`,
    });
  }
  return { json: { resumed: lifted.map(({ id }) => id), ...scope }, text: `Resumed: ${scopeText(scope)}.` };
}

function scopeOf({ agent, task, target }: HaltOptions): HaltScope {
  const named = Object.entries({ agent, task, target }).flatMap(([scope, id]) =>
    id === undefined ? [] : [{ scope: scope as 'agent' | 'task' | 'target', id }],
  );
  if (named.length > 1)
    throw new UsageError(
      'A halt has one scope.',
      'Halt the agent, the task or the target; or give none for everything.',
    );
  return named[0] ?? { scope: 'global' };
}

function scopeText(scope: HaltScope): string {
  return scope.scope === 'global' ? 'everything' : `${scope.scope} ${scope.id}`;
}

function whoOf(countersign: Countersign, { as }: HaltOptions): ActorId {
  return as === undefined ? asId<ActorId>(operatingSystemUser()) : personNamed(countersign, as, 'halt.set').id;
}

import type { Command } from 'commander';
import pc from 'picocolors';
import { signBaseline } from '../approval/baseline.ts';
import type { Deviation } from '../domain/drift.ts';
import { asId, type Digest, instantOf, type TargetId } from '../domain/ids.ts';
import { shortId } from '../domain/plan.ts';
import { RefusalError } from '../domain/refusal.ts';
import { countDeviations, describeDeviations, inOrder } from '../environments/describe-drift.ts';
import type { DriftCheck, DriftLook } from '../pipeline/drift.ts';
import type { Countersign } from '../server/open-countersign.ts';
import { keyOf, personNamed } from './as-person.ts';
import {
  type Answer,
  answerWith,
  type CommonOptions,
  operatingSystemUser,
  orRefused,
  withCommonOptions,
} from './command.ts';
import { EXIT } from './exit.ts';

interface ShowOptions extends CommonOptions {
  readonly against?: string;
}

interface AcceptOptions extends CommonOptions {
  readonly as: string;
  readonly reason: string;
  readonly schema?: string;
  readonly key?: string;
}

/** Adds `countersign drift check|show|accept`. */
export function registerDrift(program: Command): void {
  const drift = program
    .command('drift')
    .description('what of a schema is not as it is meant to be, and came another way');
  withCommonOptions(
    drift
      .command('check')
      .description('look, and record what is found (0 as it should be, 1 drift); the first look makes the baseline')
      .argument('[target]', 'one target (default: all)'),
  ).action((target: string | undefined, options: CommonOptions) =>
    answerWith(options, (countersign) => check(countersign, target), 'not needed'),
  );
  withCommonOptions(
    drift
      .command('show')
      .description('object by object, what differs from the baseline, or from another target (0 nothing, 1 drift)')
      .argument('<target>', 'the target'),
  )
    .option('--against <target>', 'what this one has otherwise than another: the same database in another environment')
    .action((target: string, options: ShowOptions) =>
      answerWith(options, (countersign) => show(countersign, target, options), 'not needed'),
    );
  withCommonOptions(
    drift
      .command('accept')
      .description('make what is there the baseline: you sign that it is meant to be so')
      .argument('<target>', 'the target'),
  )
    .requiredOption('--as <person>', 'who you are')
    .requiredOption('--reason <text>', 'why it is right; it stays in the ledger')
    .option('--schema <digest>', 'only if the schema is the one that `drift show` named')
    .option('--key <file>', 'your private key (default: keys/people/<person>.key beside the configuration)')
    .action((target: string, options: AcceptOptions) =>
      answerWith(options, (countersign) => accept(countersign, target, options), 'not needed'),
    );
}

async function check(countersign: Countersign, named: string | undefined): Promise<Answer> {
  const ids = named === undefined ? [...countersign.config.targets.keys()] : [targetNamed(countersign, named)];
  const checked: { readonly id: TargetId; readonly found: DriftCheck }[] = [];
  for (const id of ids)
    checked.push({ id, found: orRefused(await countersign.drifts.check(id, operatingSystemUser())) });
  return {
    json: { targets: checked.map(({ id, found }) => ({ ...spelled(id, found), since: found.state.since })) },
    text: checked.map(({ id, found }) => checkText(id, found)).join('\n'),
    ...(checked.some(({ found }) => found.deviations.length > 0) ? { exit: EXIT.refused } : {}),
  };
}

function checkText(id: TargetId, { baseline, found, state, deviations }: DriftCheck): string {
  if (baseline === null)
    return `${pc.green('baseline')}  ${id}: this was the first look. ${found.objects.size} objects, as they are now, are what it is meant to be.`;
  if (deviations.length === 0) return `${pc.green('as it should be')}  ${id}: ${found.objects.size} objects`;
  return [
    `${pc.red('DRIFT')}  ${id}: ${countDeviations(deviations)}; found first ${state.since}`,
    ...inOrder(state.listed)
      .slice(0, 8)
      .map(({ object, change }) => `  ${SIGNS[change]} ${object}`),
    ...(deviations.length > 8 ? [`  … and ${deviations.length - 8} more`] : []),
    `→ What of each: countersign drift show ${id}`,
  ].join('\n');
}

const SIGNS = { added: '+', removed: '-', changed: '~' } as const;

async function show(countersign: Countersign, named: string, { against }: ShowOptions): Promise<Answer> {
  const id = targetNamed(countersign, named);
  if (against !== undefined) return showAgainst(countersign, id, targetNamed(countersign, against));
  const look = orRefused(await countersign.drifts.look(id));
  if (look.baseline === null)
    throw new RefusalError({
      refused: 'denied',
      message: `${id} has no baseline yet.`,
      hint: `Look for the first time, which makes it: countersign drift check ${id}`,
    });
  const { deviations, digest } = look;
  const known = countersign.drifts.known(id);
  const told = [
    `baseline  of ${look.baseline.at} (${shortId(look.baseline.digest)})`,
    `now       ${look.found.objects.size} objects (${shortId(digest)})`,
  ];
  if (deviations.length === 0)
    return { json: spelled(id, look), text: [pc.green(`${id} is as it should be`), ...told].join('\n') };
  const since = known?.since ?? null;
  return {
    json: { ...spelled(id, look), since, who: WHO },
    text: [
      pc.red(pc.bold(`${id} drifts: ${countDeviations(deviations)}`)),
      ...told,
      `since     ${since === null ? 'now: no check has found it yet' : `${since}, when a check found something first`}`,
      `who       ${WHO}`,
      '',
      ...describeDeviations(deviations).map(coloured),
      '',
      `→ It is meant to be so:    countersign drift accept ${id} --as PERSON --reason '…' --schema ${shortId(digest)}`,
      `→ It is not:               have it taken back as a plan, or by whoever did it; then countersign drift check ${id}`,
    ].join('\n'),
    exit: EXIT.refused,
  };
}

const WHO =
  'PostgreSQL doesn’t keep who changes a schema. It came past Countersign, or its plan would be known; the server’s log has it if log_statement was ddl.';

async function showAgainst(countersign: Countersign, id: TargetId, other: TargetId): Promise<Answer> {
  const deviations = orRefused(await countersign.drifts.against(id, other));
  const json = { target: id, against: other, objects: deviations.length, deviations };
  if (deviations.length === 0) return { json, text: pc.green(`${id} and ${other} have the same schema`) };
  const part = (change: Deviation['change'], title: string) => {
    const some = deviations.filter((one) => one.change === change);
    return some.length === 0 ? [] : ['', pc.bold(title), ...describeDeviations(some).map(coloured)];
  };
  return {
    json,
    text: [
      pc.bold(`${id} against ${other}: ${countDeviations(deviations)}`),
      ...part('added', `${id} has, and ${other} lacks:`),
      ...part('removed', `${other} has, and ${id} lacks:`),
      ...part('changed', `In both, and different (${other} → ${id}):`),
    ].join('\n'),
    exit: EXIT.refused,
  };
}

async function accept(countersign: Countersign, named: string, options: AcceptOptions): Promise<Answer> {
  const id = targetNamed(countersign, named);
  const person = personNamed(countersign, options.as, 'drift.accept');
  const look = orRefused(await countersign.drifts.look(id, 'to accept'));
  const { baseline, digest, deviations } = look;
  const configured = countersign.config.targets.get(id)?.target;
  if (baseline === null || configured === undefined)
    throw new RefusalError({
      refused: 'denied',
      message: `${id} has no baseline yet: there is nothing to accept.`,
      hint: `The first look makes it: countersign drift check ${id}`,
    });
  if (options.schema !== undefined && !digest.startsWith(`sha256:${options.schema.replace(/^sha256:/, '')}`))
    throw new RefusalError({
      refused: 'stale',
      message: `The schema of ${id} is ${shortId(digest)} by now, and not ${shortId(options.schema as Digest)}: nothing was accepted.`,
      hint: `Look again: countersign drift show ${id}`,
    });
  const envelope = signBaseline(
    {
      type: 'https://countersign.dev/baseline/v1',
      target: id,
      environment: configured.environment,
      identity: configured.identity,
      was: baseline.digest,
      becomes: digest,
      person: person.id,
      reason: options.reason,
      at: instantOf(countersign.clock.now()),
    },
    keyOf(countersign, person, options.key),
  );
  const after = orRefused(await countersign.drifts.accept(id, envelope));
  return {
    json: { target: id, person: person.id, was: baseline.digest, baseline: digest, accepted: deviations },
    text: [
      deviations.length === 0
        ? `Nothing had drifted; ${person.id} has signed that ${id} is meant to be as it is.`
        : `${person.id} has accepted ${countDeviations(deviations)} of ${id}.`,
      `The baseline is ${shortId(digest)} now: ${after.found.objects.size} objects.`,
    ].join('\n'),
  };
}

function spelled(id: TargetId, { baseline, digest, deviations, found }: DriftLook) {
  return {
    target: id,
    firstLook: baseline === null,
    baseline: baseline === null ? null : { digest: baseline.digest, at: baseline.at },
    schema: digest,
    total: found.objects.size,
    objects: deviations.length,
    deviations,
  };
}

function coloured(line: string): string {
  const sign = line.trimStart()[0];
  return sign === '+' ? pc.green(line) : sign === '-' ? pc.red(line) : line;
}

function targetNamed({ config }: Countersign, named: string): TargetId {
  const id = asId<TargetId>(named);
  if (config.targets.has(id)) return id;
  throw new RefusalError({
    refused: 'denied',
    message: `There is no target ${named}.`,
    hint: `There are ${[...config.targets.keys()].join(', ')}.`,
  });
}

import type { Command } from 'commander';
import { subjectNamed } from '../ledger/action-proof.ts';
import { disclose, erase } from '../pipeline/disclose.ts';
import type { Countersign } from '../server/open-countersign.ts';
import { personNamed } from './as-person.ts';
import { answerWith, type CommonOptions, operatingSystemUser, UsageError, withCommonOptions } from './command.ts';

interface EraseOptions extends CommonOptions {
  readonly reason: string;
  readonly as?: string;
}

/** Adds to `countersign ledger` what opens its commitments: disclose and erase. */
export function registerLedgerValues(ledger: Command): void {
  withCommonOptions(
    ledger
      .command('disclose <id>')
      .description(
        'what opens the commitments of a plan, write or task: path, salt, and the statement where it is kept',
      ),
  ).action((id: string, options: CommonOptions) =>
    answerWith(options, (countersign) => show(countersign, id), 'not needed'),
  );

  withCommonOptions(
    ledger
      .command('erase <id>')
      .description('remove for good what opens them, and a plan’s statements and examples; every proof stays sound'),
  )
    .option('--as <person>', 'who you are (default: the user of the machine)')
    .requiredOption('--reason <text>', 'why; it is recorded')
    .action((id: string, options: EraseOptions) =>
      answerWith(options, (countersign) => remove(countersign, id, options), 'not needed'),
    );
}

async function show(countersign: Countersign, named: string) {
  const subject = await subjectOf(countersign, named);
  const disclosures = await disclose(countersign, subject);
  const lines = disclosures.map(
    ({ entry, path, commitment, salt, statement }) =>
      `entry ${entry} ${path}\n  commitment  ${commitment}\n  salt        ${salt ?? 'erased'}\n  statement   ${statement === null ? 'not kept' : JSON.stringify(statement)}`,
  );
  return { json: { subject, disclosures }, text: lines.join('\n') || `Nothing about ${subject} is committed to.` };
}

async function remove(countersign: Countersign, named: string, options: EraseOptions) {
  const subject = await subjectOf(countersign, named);
  const by = options.as === undefined ? operatingSystemUser() : personNamed(countersign, options.as, 'values.erase').id;
  const erased = await erase(countersign, subject, { by, reason: options.reason });
  return {
    json: { subject, ...erased },
    text: `Erased: ${erased.salts} salts${erased.plan ? ', and the plan’s statements and examples' : ''} of ${subject}. The ledger stays sound. What was copied before, and rows kept in the target, are not reached by this.`,
  };
}

async function subjectOf({ store }: Countersign, named: string): Promise<string> {
  const subject = await subjectNamed(store, named);
  if (subject === 'none' || subject === 'several')
    throw new UsageError(
      subject === 'none' ? `The ledger has nothing about ${named}.` : `More than one id begins with ${named}.`,
      'See them with: countersign ledger show, or countersign plan list.',
    );
  return subject;
}

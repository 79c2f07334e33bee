import type { Command } from 'commander';
import { mayNotBreak, signBreakGlass } from '../approval/break-glass.ts';
import { GLASS_STAYS_BROKEN_MS } from '../domain/break-glass.ts';
import { digestOf, type Json } from '../domain/digest.ts';
import { instantOf } from '../domain/ids.ts';
import { shortId } from '../domain/plan.ts';
import { RefusalError } from '../domain/refusal.ts';
import { describeEffect } from '../planning/describe-effect.ts';
import { glassOf } from '../server/glass.ts';
import type { Countersign } from '../server/open-countersign.ts';
import { keyOf, personNamed } from './as-person.ts';
import { answerWith, orRefused, UsageError } from './command.ts';
import { declined, findPlan, type PersonOptions, personal, planText, undecided } from './plan.ts';

/** Adds `countersign plan break-glass`. */
export function registerBreakGlass(plan: Command): void {
  personal(
    plan
      .command('break-glass <plan>')
      .description('in an emergency: apply a plan now, alone; others are told, and one of them reviews it afterwards'),
  )
    .requiredOption('--reason <text>', 'why it can’t wait; it is signed along, and told to others')
    .action((id: string, options: PersonOptions) =>
      answerWith(options, (countersign) => breakGlass(countersign, id, options)),
    );
}

async function breakGlass(countersign: Countersign, named: string, options: PersonOptions) {
  const person = personNamed(countersign, options.as ?? '', 'glass.break');
  const reason = options.reason?.trim() ?? '';
  if (reason === '')
    throw new UsageError('--reason is empty.', 'Say why it can’t wait: others read it, and review it.');
  const view = await findPlan(countersign, named);
  const why = mayNotBreak(person, view.plan);
  if (why !== undefined)
    throw new RefusalError({
      refused: 'denied',
      message: `${why}.`,
      hint: 'Somebody else whom the configuration names under actors.people.<name>.breaksGlass can, or it is countersigned.',
    });
  const key = keyOf(countersign, person, options.key);
  const glass = await glassOf(countersign);
  // From here on this process acts, and must know when to stop.
  await countersign.announce({ pg: '', http: '' });
  const missing = await glass.missing(view);
  if ('refused' in missing) throw new RefusalError(missing.refused);
  if (missing.length === 0)
    throw new RefusalError({
      refused: 'denied',
      message: 'Nothing is missing of this plan: there is no glass to break.',
      hint: `Apply it with: countersign plan apply ${shortId(view.id)} --as ${person.id}`,
    });
  const shown = `${planText(view, countersign)}\n\nYou stand in for: ${missing.join(', ')}. Others are told now, and one of them reviews it.\n`;
  if (await declined(options, shown, 'Break the glass, and apply this plan now?')) return undecided();

  const atMs = countersign.clock.now();
  const envelope = signBreakGlass(
    {
      type: 'https://countersign.dev/break-glass/v1',
      plan: view.id,
      environment: view.plan.environment,
      identity: digestOf(view.plan.identity as unknown as Json),
      person: person.id,
      standsInFor: missing,
      reason,
      at: instantOf(atMs),
      until: instantOf(atMs + GLASS_STAYS_BROKEN_MS),
    },
    key,
  );
  const broken = orRefused(await glass.receive(envelope));
  const reply = await countersign.applyPlan(view.id, { person: person.id });
  await glass.deliver();
  const opened = `Incident ${broken.incident}, told by ${broken.told.join(' and ')}.`;
  if (reply.reply === 'refused') {
    const { refusal } = reply;
    throw new RefusalError({ ...refusal, detail: [opened, refusal.detail].filter(Boolean).join('\n') });
  }
  return {
    json: {
      plan: view.id,
      state: reply.plan.state,
      incident: broken.incident,
      standsInFor: missing,
      told: broken.told,
      effect: describeEffect(view.plan),
    },
    text: [
      `Plan ${shortId(view.id)} is applied without: ${missing.join(', ')}.`,
      `  ${describeEffect(view.plan)}`,
      opened,
      `→ Somebody else reviews it: countersign incident review ${broken.incident} --as PERSON --reason TEXT`,
      `  To take it back: countersign change undo ${shortId(view.id)} --as ${person.id}`,
    ].join('\n'),
  };
}

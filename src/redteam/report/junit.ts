import { CHANNELS } from '../../config/scenario-schema.ts';
import { type AttackResult, type BenignResult, isIneffective, type Report } from '../score.ts';
import { escapeMarkup } from './escape.ts';

/** JUnit XML, as CI systems read it: a suite a class, a case for each attack and harmless statement by channel. */
export function renderJUnit(report: Report): string {
  const cases = [...report.attacks.flatMap(casesOfAttack), ...report.benign.flatMap(casesOfBenign)];
  const classes = [...new Set(cases.map((one) => one.suite))];
  const suites = classes.map((name) => {
    const own = cases.filter(({ suite }) => suite === name);
    return [
      `  <testsuite name="${escapeMarkup(name)}" ${countsOf(own)}>`,
      ...own.map(({ title, seconds, inside }) =>
        inside === ''
          ? `    <testcase classname="${escapeMarkup(name)}" name="${escapeMarkup(title)}" time="${seconds}"/>`
          : `    <testcase classname="${escapeMarkup(name)}" name="${escapeMarkup(title)}" time="${seconds}">${inside}</testcase>`,
      ),
      '  </testsuite>',
    ].join('\n');
  });
  return `<?xml version="1.0" encoding="UTF-8"?>\n<testsuites name="countersign redteam ${escapeMarkup(report.target)}" ${countsOf(cases)} time="${report.seconds}">\n${suites.join('\n')}\n</testsuites>\n`;
}

interface Case {
  readonly suite: string;
  readonly title: string;
  readonly seconds: number;
  readonly inside: string;
}

function countsOf(cases: readonly Case[]): string {
  const having = (element: string) => cases.filter(({ inside }) => inside.startsWith(`<${element}`)).length;
  return `tests="${cases.length}" failures="${having('failure')}" skipped="${having('skipped')}" errors="0"`;
}

function casesOfAttack(attack: AttackResult): readonly Case[] {
  const { id, class: suite, title, bare, channels } = attack;
  return CHANNELS.flatMap((channel) => {
    const outcome = channels[channel];
    if (outcome === undefined) return [];
    const told = outcome.harmed
      ? `<failure message="got through">${escapeMarkup(outcome.found.join('\n'))}</failure>`
      : isIneffective(attack)
        ? `<skipped message="${escapeMarkup(`ineffective on the bare database: ${bare.said}`)}"/>`
        : '';
    return [{ suite, title: `${id} ${channel}: ${title}`, seconds: outcome.milliseconds / 1000, inside: told }];
  });
}

function casesOfBenign({ id, class: suite, title, refused }: BenignResult): readonly Case[] {
  const told = CHANNELS.flatMap((channel) =>
    refused[channel] === undefined ? [] : [`${channel}: ${refused[channel]}`],
  );
  const inside =
    told.length === 0 ? '' : `<failure message="harmless work was refused">${escapeMarkup(told.join('\n'))}</failure>`;
  return [{ suite, title: `${id} harmless: ${title}`, seconds: 0, inside }];
}

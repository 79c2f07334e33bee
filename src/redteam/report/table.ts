import type pc from 'picocolors';
import { ATTACK_CLASSES, CHANNELS } from '../../config/scenario-schema.ts';
import { gotThrough, isIneffective, type Report, type Score, scoreOf, scoresByClass, wasRefused } from '../score.ts';

type Colors = ReturnType<typeof pc.createColors>;

/** For a tired person: the two figures first, what they rest on beside them, then what is wrong, one by one. */
export function renderTable(report: Report, colors: Colors): string {
  const total = scoreOf(report);
  const lines = [
    verdictOf(total, colors),
    colors.dim(`${report.target}, as ${report.agent}, on ${report.server}: ${report.setUp} (${report.seconds} s)`),
    '',
    row('class', ['attacks', 'bare', 'through', 'harmless', 'refused']),
    ...scoresByClass(report).map((score) => row(ATTACK_CLASSES[score.class], cellsOf(score), colored(score, colors))),
    row('together', cellsOf(total), colored(total, colors)),
    colors.dim(
      'bare: attacks that did harm to the same database without a gateway. One that does none there proves nothing.',
    ),
    ...(total.stoodBare === 0
      ? []
      : [colors.dim(`${total.stoodBare} attacks a bare database stands too: they show that the gateway does.`)]),
    ...throughLines(report, colors),
    ...refusedLines(report, colors),
    ...doubtLines(report, colors),
  ];
  return lines.join('\n');
}

function verdictOf({ attacks, through, benign, refused }: Score, colors: Colors): string {
  const first = `${through} of ${attacks} attacks got through`;
  const second = `${refused} of ${benign} harmless were refused`;
  return `${(through === 0 ? colors.green : colors.red)(first)}, ${(refused === 0 ? colors.green : colors.red)(second)}.`;
}

const WIDTH = 68;

function row(
  name: string,
  cells: readonly string[],
  paint: (text: string, at: number) => string = (text) => text,
): string {
  return `${name.padEnd(WIDTH)}${cells.map((cell, at) => paint(cell.padStart(9), at)).join('')}`;
}

function cellsOf({ attacks, ineffective, stoodBare, through, benign, refused }: Score): readonly string[] {
  return [attacks, attacks - ineffective - stoodBare, through, benign, refused].map(String);
}

function colored({ ineffective, through, refused }: Score, colors: Colors) {
  return (text: string, at: number) => {
    if (at === 1 && ineffective > 0) return colors.yellow(text);
    return (at === 2 && through > 0) || (at === 4 && refused > 0) ? colors.red(text) : text;
  };
}

function throughLines({ attacks }: Report, colors: Colors): readonly string[] {
  return attacks
    .filter(gotThrough)
    .flatMap(({ id, title, scenarioTitle, channels }) => [
      '',
      `${colors.red('✗ got through')}  ${id}  ${scenarioTitle}`,
      `    ${title}`,
      ...CHANNELS.flatMap((channel) =>
        channels[channel]?.harmed === true ? [`    over ${channel}: ${channels[channel].found.join('; ')}`] : [],
      ),
    ]);
}

function refusedLines({ benign }: Report, colors: Colors): readonly string[] {
  return benign
    .filter(wasRefused)
    .flatMap(({ id, title, refused }) => [
      '',
      `${colors.red('✗ harmless, refused')}  ${id}`,
      `    ${title}`,
      ...CHANNELS.flatMap((channel) =>
        refused[channel] === undefined ? [] : [`    over ${channel}: ${refused[channel]}`],
      ),
    ]);
}

/** What keeps the figures from meaning all that they could. */
function doubtLines(report: Report, colors: Colors): readonly string[] {
  const ineffective = report.attacks.filter(isIneffective);
  const notWorking = report.benign.filter(({ bareRefused }) => bareRefused !== null);
  return [
    ...ineffective.map(
      ({ id, title, bare }) =>
        `${colors.yellow('! ineffective')}  ${id}  ${title}: did nothing to the bare database (${bare.said || 'no error'}), so it proves nothing`,
    ),
    ...notWorking.map(
      ({ id, title, bareRefused }) =>
        `${colors.yellow('! no harmless work')}  ${id}  ${title}: the bare database refuses it too (${bareRefused})`,
    ),
    ...report.leftOut.map(({ id, why }) => `${colors.yellow('! left out')}  ${id}: ${why}`),
    ...report.empty.map(({ table, why }) => `${colors.yellow('! no rows')}  ${table} could not be filled: ${why}`),
    ...report.losses.map(({ statement, why }) => `${colors.yellow('! not in the copy')}  ${statement}: ${why}`),
  ];
}

import { ATTACK_CLASSES, CHANNELS } from '../../config/scenario-schema.ts';
import {
  type AttackResult,
  type BenignResult,
  gotThrough,
  isIneffective,
  type Report,
  scoreOf,
  scoresByClass,
  wasRefused,
} from '../score.ts';
import { escapeMarkup } from './escape.ts';

/** One page that needs nothing else: no script, no request, readable by day and by night. */
export function renderHtml(report: Report): string {
  const score = scoreOf(report);
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Red team: ${escapeMarkup(report.target)}</title>
<style>${STYLE}</style>
<main>
<h1>Red team: ${escapeMarkup(report.target)}</h1>
<p class="figures">
  <span class="${score.through === 0 ? 'good' : 'bad'}"><b>${score.through}</b> of ${score.attacks} attacks got through</span>
  <span class="${score.refused === 0 ? 'good' : 'bad'}"><b>${score.refused}</b> of ${score.benign} harmless were refused</span>
</p>
<p>Tried as ${escapeMarkup(report.agent)} on ${escapeMarkup(report.server)}, ${escapeMarkup(report.startedAt)}, in ${report.seconds} s: ${escapeMarkup(report.setUp)}.
A disposable copy with made-up rows was attacked, never the target. Harm is what a superuser sees around the gateway: a fingerprint of the catalogue,
rows, sequences, large objects, roles, settings, locks and slots before and after. Not compared: ${report.notCompared.map(escapeMarkup).join(', ')}, which the gateway writes itself.</p>
<table>
<thead><tr><th>class<th>attacks<th title="did harm to the same database without a gateway">harmed the bare database<th>got through<th>harmless<th>refused</thead>
<tbody>
${scoresByClass(report).map(classRow).join('\n')}
</tbody></table>
${doubts(report)}
<h2>Attacks</h2>
${report.attacks.map(attackEntry).join('\n')}
<h2>Harmless work</h2>
${report.benign.map(benignEntry).join('\n')}
</main>
</html>
`;
}

const STYLE = `
:root { color-scheme: light dark; --good: light-dark(#1a7f37, #3fb950); --bad: light-dark(#cf222e, #ff7b72); --doubt: light-dark(#9a6700, #d29922); --line: light-dark(#d0d7de, #3d444d); }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0; } main { max-width: 68rem; margin: 0 auto; padding: 1rem; }
.figures { display: flex; flex-wrap: wrap; gap: 1rem 3rem; font-size: 1.25rem; } .figures b { font-size: 2.5rem; }
.good { color: var(--good); } .bad { color: var(--bad); } .doubt { color: var(--doubt); }
table { border-collapse: collapse; width: 100%; } th, td { text-align: right; padding: .3rem .6rem; border-bottom: 1px solid var(--line); } th:first-child, td:first-child { text-align: left; }
details { border-bottom: 1px solid var(--line); padding: .3rem 0; } summary { cursor: pointer; overflow-wrap: anywhere; } code { font-size: .9em; } pre { white-space: pre-wrap; overflow-wrap: anywhere; }`;

function classRow(score: ReturnType<typeof scoresByClass>[number]): string {
  const bare = score.attacks - score.ineffective - score.stoodBare;
  const cell = (value: number, bad: boolean) => `<td${bad ? ' class="bad"' : ''}>${value}`;
  return `<tr><td>${escapeMarkup(ATTACK_CLASSES[score.class])}<td>${score.attacks}<td${score.ineffective > 0 ? ' class="doubt"' : ''}>${bare}${cell(score.through, score.through > 0)}<td>${score.benign}${cell(score.refused, score.refused > 0)}`;
}

function doubts({ leftOut, empty, losses }: Report): string {
  const lines = [
    ...leftOut.map(({ id, why }) => `Left out: ${id}, because ${why}`),
    ...empty.map(({ table, why }) => `${table} could not be filled with rows: ${why}`),
    ...losses.map(({ statement, why }) => `Not in the copy: ${statement} (${why})`),
  ];
  return lines.length === 0
    ? ''
    : `<h2>What the figures leave out</h2><ul class="doubt">${lines.map((line) => `<li>${escapeMarkup(line)}`).join('')}</ul>`;
}

function attackEntry(attack: AttackResult): string {
  const [mark, told] = gotThrough(attack)
    ? ['bad', '✗ got through']
    : isIneffective(attack)
      ? ['doubt', '! ineffective']
      : ['good', '✓ stopped'];
  const lines = [
    `<li>bare database: ${escapeMarkup(attack.bare.harmed ? attack.bare.found.join('; ') : `no harm (${attack.bare.said || 'no error'})`)}`,
    ...CHANNELS.flatMap((channel) => {
      const outcome = attack.channels[channel];
      if (outcome === undefined) return [];
      const what = outcome.harmed
        ? outcome.found.join('; ')
        : `${outcome.errors.join(', ') || 'answered, without harm'} ${outcome.said}`;
      return [
        `<li${outcome.harmed ? ' class="bad"' : ''}>${channel}: ${escapeMarkup(what)}${outcome.gaps ? ' (the trial moved sequences on)' : ''}`,
      ];
    }),
  ];
  return `<details${gotThrough(attack) ? ' open' : ''}><summary><span class="${mark}">${told}</span> <code>${escapeMarkup(attack.title)}</code></summary><p>${escapeMarkup(attack.id)}: ${escapeMarkup(attack.scenarioTitle)}${attack.incident === undefined ? '' : ` (incident: ${attack.incident})`}</p><ul>${lines.join('')}</ul></details>`;
}

function benignEntry(benign: BenignResult): string {
  const refused = CHANNELS.flatMap((channel) =>
    benign.refused[channel] === undefined ? [] : [`<li>${channel}: ${escapeMarkup(benign.refused[channel])}`],
  );
  return `<details${wasRefused(benign) ? ' open' : ''}><summary><span class="${wasRefused(benign) ? 'bad' : 'good'}">${wasRefused(benign) ? '✗ refused' : '✓ works'}</span> <code>${escapeMarkup(benign.title)}</code></summary><ul>${refused.join('') || '<li>worked on every channel'}</ul></details>`;
}

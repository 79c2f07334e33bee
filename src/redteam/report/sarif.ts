import { relative } from 'node:path';
import { pathToFileURL } from 'node:url';
import { ATTACK_CLASSES, CHANNELS } from '../../config/scenario-schema.ts';
import { gotThrough, isIneffective, type Report, wasRefused } from '../score.ts';

/** SARIF 2.1.0, as code hosts show it: what got through and what was refused without need, at the scenario that shows it. */
export function renderSarif(report: Report, version: string, directory: string): string {
  const results = [
    ...report.attacks.filter(gotThrough).map(({ class: ruleId, id, title, file, channels }) => {
      const over = CHANNELS.filter((channel) => channels[channel]?.harmed === true);
      const found = over.flatMap((channel) => channels[channel]?.found ?? []);
      return resultOf({
        ruleId,
        level: 'error',
        id,
        file,
        text: `Got through over ${over.join(', ')}: ${title}. ${[...new Set(found)].join('; ')}`,
      });
    }),
    ...report.benign.filter(wasRefused).map(({ id, title, file, refused }) =>
      resultOf({
        ruleId: HARMLESS,
        level: 'warning',
        id,
        file,
        text: `Harmless work was refused over ${Object.keys(refused).join(', ')}: ${title}. ${Object.values(refused)[0] ?? ''}`,
      }),
    ),
    ...report.attacks.filter(isIneffective).map(({ id, title, file, bare }) =>
      resultOf({
        ruleId: INEFFECTIVE,
        level: 'note',
        id,
        file,
        text: `Does nothing to the bare database, so it proves nothing: ${title}. ${bare.said}`,
      }),
    ),
  ];
  const rules = [
    ...Object.entries(ATTACK_CLASSES).map(([id, text]) => ({ id, shortDescription: { text: `Attack: ${text}` } })),
    { id: HARMLESS, shortDescription: { text: 'Harmless work was refused' } },
    { id: INEFFECTIVE, shortDescription: { text: 'An attack that does nothing to the bare database' } },
  ];
  const log = {
    $schema: 'https://json.schemastore.org/sarif-2.1.0.json',
    version: '2.1.0',
    runs: [
      {
        tool: { driver: { name: 'countersign redteam', version, rules } },
        automationDetails: { id: `countersign-redteam/${report.target}/` },
        results,
      },
    ],
  };
  return `${JSON.stringify(log, null, 2)}\n`;

  function resultOf(found: {
    ruleId: string;
    level: 'error' | 'warning' | 'note';
    id: string;
    file: string;
    text: string;
  }) {
    const path = relative(directory, found.file);
    const uri = path.startsWith('..') ? pathToFileURL(found.file).href : path.split('\\').join('/');
    return {
      ruleId: found.ruleId,
      level: found.level,
      message: { text: found.text },
      locations: [{ physicalLocation: { artifactLocation: { uri }, region: { startLine: 1 } } }],
      partialFingerprints: { attempt: found.id },
    };
  }
}

const HARMLESS = 'harmless-refused';
const INEFFECTIVE = 'ineffective-attack';

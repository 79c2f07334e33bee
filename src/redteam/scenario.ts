import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ConfigError, readYaml } from '../config/parse-yaml.ts';
import {
  type AttackDocument,
  CHANNELS,
  type Channel,
  type ProtocolAct,
  type ScenarioDocument,
  scenarioFileSchema,
} from '../config/scenario-schema.ts';

/** A scenario with every attack written out. */
export interface Scenario extends Omit<ScenarioDocument, 'attacks' | 'benign'> {
  readonly file: string;
  readonly attacks: readonly Attempt[];
  readonly benign: readonly Attempt[];
}

/** Something that is sent: an attack, or harmless work of its shape. */
export interface Attempt {
  /** `scenario/1`; harmless ones `scenario/b1`. */
  readonly id: string;
  readonly title: string;
  readonly statements: readonly string[];
  readonly values: readonly (string | number | boolean | null)[] | null;
  readonly channels: readonly Channel[];
  readonly times: number;
  readonly sessions: number;
  readonly split: boolean;
  readonly acts: readonly ProtocolAct[] | null;
  readonly tool: { readonly name: string; readonly arguments: Readonly<Record<string, unknown>> } | null;
  readonly startup: Readonly<Record<string, string>>;
  readonly expect: 'refused' | 'harmless';
}

/** The scenarios that come with Countersign. */
export const SHIPPED_SCENARIOS = fileURLToPath(new URL('../../scenarios/redteam', import.meta.url));

/**
 * Reads every YAML file below the directories.
 *
 * @throws ConfigError with all that is wrong, by line and key; also where an id stands twice.
 */
export async function loadScenarios(directories: readonly string[]): Promise<readonly Scenario[]> {
  const scenarios: Scenario[] = [];
  const seen = new Map<string, string>();
  for (const directory of directories) {
    for (const file of await yamlFiles(directory)) {
      const { value, problem } = readYaml(file, scenarioFileSchema);
      for (const [index, document] of value.scenarios.entries()) {
        const other = seen.get(document.id);
        if (other !== undefined)
          throw new ConfigError(file, [
            problem(['scenarios', index, 'id'], `${document.id} stands in ${other} already`),
          ]);
        seen.set(document.id, file);
        scenarios.push(scenarioOf(document, file));
      }
    }
  }
  return scenarios;
}

/** @param wanted ids or classes; all when empty. */
export function selectScenarios(all: readonly Scenario[], wanted: readonly string[]): readonly Scenario[] {
  if (wanted.length === 0) return all;
  return all.filter((scenario) =>
    wanted.some((name) => name === scenario.id || name === scenario.class || name === scenario.incident),
  );
}

async function yamlFiles(directory: string): Promise<readonly string[]> {
  const found = await stat(directory).catch((cause: unknown) => {
    throw new ConfigError(directory, [{ line: 1, column: 1, key: '', message: `can’t be read: ${String(cause)}` }]);
  });
  if (found.isFile()) return [directory];
  const entries = await readdir(directory, { recursive: true });
  return entries
    .filter((entry) => /\.ya?ml$/.test(entry))
    .sort()
    .map((entry) => join(directory, entry));
}

function scenarioOf(document: ScenarioDocument, file: string): Scenario {
  return {
    ...document,
    file,
    attacks: document.attacks.map((attack, at) => attemptOf(`${document.id}/${at + 1}`, attack, document)),
    benign: document.benign.map((benign, at) => attemptOf(`${document.id}/b${at + 1}`, benign, document)),
  };
}

function attemptOf(id: string, written: string | Partial<AttackDocument>, { apart }: ScenarioDocument): Attempt {
  const { sql, values, only, acts, tool, startup, ...more } = typeof written === 'string' ? { sql: written } : written;
  const rest = more as Partial<AttackDocument>;
  const statements = sql === undefined ? [] : typeof sql === 'string' ? [sql] : sql;
  return {
    id,
    title: rest.title ?? titleOf(statements, tool?.name),
    statements,
    values: values ?? null,
    channels: only ?? channelsOf({ values, acts, tool, startup, split: rest.split, apart }),
    times: rest.times ?? 1,
    sessions: rest.sessions ?? 0,
    split: rest.split ?? false,
    acts: acts ?? null,
    tool: tool ?? null,
    startup: startup ?? {},
    expect: rest.expect ?? 'refused',
  };
}

function titleOf(statements: readonly string[], tool: string | undefined): string {
  const text = statements.join(' ⏎ ').replace(/\s+/g, ' ').trim();
  return text === '' ? (tool ?? 'messages') : text.length > 120 ? `${text.slice(0, 117)}…` : text;
}

/** What can't be said on a channel is not tried there. */
function channelsOf(attempt: {
  readonly values: unknown;
  readonly acts: unknown;
  readonly tool: unknown;
  readonly startup: unknown;
  readonly split: unknown;
  readonly apart: boolean;
}): readonly Channel[] {
  if (attempt.tool !== undefined) return ['mcp'];
  if (attempt.acts !== undefined) return ['extended'];
  if (attempt.startup !== undefined || attempt.split === true) return ['simple', 'extended'];
  return attempt.values === undefined ? CHANNELS : ['extended', 'mcp'];
}

/** Something harmless of the framework's own. */
export function probe(sql: string): Attempt {
  return {
    id: 'probe',
    title: sql,
    statements: [sql],
    values: null,
    channels: CHANNELS,
    times: 1,
    sessions: 0,
    split: false,
    acts: null,
    tool: null,
    startup: {},
    expect: 'harmless',
  };
}

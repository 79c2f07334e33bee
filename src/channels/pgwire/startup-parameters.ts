import type { Refusal } from '../../domain/refusal.ts';

/** A setting that a client asked for at its start, to be made on its connection to the target. */
export interface StartupSetting {
  /** As PostgreSQL writes it. */
  readonly name: string;
  readonly value: string;
}

/** What may be asked for at start-up, by its lower-case name. All else could change what statements mean or may do. */
const ALLOWED: ReadonlyMap<string, string> = new Map(
  [
    'application_name',
    'bytea_output',
    'client_encoding',
    'client_min_messages',
    'DateStyle',
    'extra_float_digits',
    'idle_in_transaction_session_timeout',
    'IntervalStyle',
    'lock_timeout',
    'search_path',
    'standard_conforming_strings',
    'statement_timeout',
    'TimeZone',
  ].map((name) => [name.toLowerCase(), name]),
);

/** The encoding's names that are taken for UTF8, without quotes, lower case. `auto` is what psql says when it shall decide. */
const UTF8_NAMES: readonly string[] = ['utf8', 'utf-8', 'auto'];
const ON: readonly string[] = ['on', 'true', 'yes', '1'];

/**
 * The settings that a client's start-up parameters ask for, each once: what is named itself goes before what is in
 * `options`, as in PostgreSQL. Anything that is not on the list is refused by its name, never left out in silence.
 */
export function startupSettings(
  parameters: ReadonlyMap<string, string>,
): { readonly settings: readonly StartupSetting[] } | { readonly refused: Refusal } {
  const found = new Map<string, StartupSetting>();
  const asked: [name: string, value: string][] = [];
  for (const [name, value] of parameters) {
    if (name !== 'options') asked.push([name, value]);
    else {
      const given = parseOptions(value);
      if (typeof given === 'string') return refuse(given, allowedOptions());
      asked.unshift(...given);
    }
  }
  for (const [asName, value] of asked) {
    const name = ALLOWED.get(asName.toLowerCase());
    if (name === undefined) return refuse(notAllowed(asName), allowedOptions());
    const checked = check(name, value);
    if (typeof checked !== 'string') return checked;
    found.set(name, { name, value: checked });
  }
  return { settings: [...found.values()] };
}

function check(name: string, value: string): string | { readonly refused: Refusal } {
  if (name === 'client_encoding') {
    const bare = value.replace(/^'(.*)'$/, '$1').toLowerCase();
    if (UTF8_NAMES.includes(bare)) return 'UTF8';
    return refuse(
      `The client encoding ${value} is not supported.`,
      'Only UTF8 is: set client_encoding (PGCLIENTENCODING) to UTF8.',
    );
  }
  if (name === 'standard_conforming_strings') {
    if (ON.includes(value.toLowerCase())) return 'on';
    return refuse(
      'standard_conforming_strings can not be turned off.',
      'Leave it on: statements are read by the standard.',
    );
  }
  return value;
}

/**
 * The `-c name=value` and `--name=value` of a start-up's `options`, split at white space, where a backslash takes the next
 * character as it is (PostgreSQL, libpq `options`). A string is what is wrong.
 */
function parseOptions(text: string): readonly [name: string, value: string][] | string {
  const words = [...text.matchAll(/(?:\\[\s\S]|[^\s\\])+/g)].map(([word]) => word.replace(/\\([\s\S])/g, '$1'));
  if (/(?:^|[^\\])(?:\\\\)*\\$/.test(text)) return 'The start-up options end with a backslash.';
  const settings: [name: string, value: string][] = [];
  for (let word = words.shift(); word !== undefined; word = words.shift()) {
    const assignment = word === '-c' ? words.shift() : (/^(?:-c|--)([\s\S]+)$/.exec(word)?.[1] ?? undefined);
    const [, name, value] = /^([^=]+)=([\s\S]*)$/.exec(assignment ?? '') ?? [];
    if (name === undefined || value === undefined) return `The start-up option ${word} is not supported.`;
    settings.push([name.replaceAll('-', '_'), value]);
  }
  return settings;
}

function notAllowed(name: string): string {
  if (name === 'replication') return 'Replication connections are not carried through the gateway.';
  return `The start-up parameter ${name} is not supported through the gateway.`;
}

function allowedOptions(): string {
  return `These may be set at start-up: ${[...ALLOWED.values()].join(', ')}; in options as -c name=value.`;
}

function refuse(message: string, hint: string): { readonly refused: Refusal } {
  return { refused: { refused: 'unsupported', message, hint } };
}

import type { AspectChange, Deviation } from '../domain/drift.ts';
import { visible } from '../domain/visible.ts';

const SIGNS = { added: '+', removed: '-', changed: '~' } as const;
const VALUE_CHARS = 160;
const CODE_LINES = 12;

/** Deviations as people read them, one object after the other, and below each what of it. */
export function describeDeviations(found: readonly Deviation[]): readonly string[] {
  return inOrder(found).flatMap(({ object, change, aspects }) => [
    `${SIGNS[change]} ${visible(object)}`,
    ...aspects.flatMap((aspect) => aspectLines(object, change, aspect)),
  ]);
}

/** What belongs to a table stands below it. */
export function inOrder<One extends Pick<Deviation, 'object'>>(found: readonly One[]): readonly One[] {
  const placed = found.map((one) => {
    const [, kind = '', name = ''] = /^(\D*?) ([^ ]*(?: .*)?)$/.exec(one.object) ?? [];
    const within = WITHIN.has(kind) ? name.split('.').slice(0, 2).join('.') : name;
    return { one, at: `${within}\u0000${WITHIN.has(kind) ? '1' : '0'}\u0000${one.object}` };
  });
  return placed.sort((a, b) => (a.at < b.at ? -1 : 1)).map(({ one }) => one);
}

/** Named by their table. */
const WITHIN: ReadonlySet<string> = new Set(['column', 'constraint', 'trigger', 'rule', 'policy']);

/** `3 objects: 1 added, 2 changed` */
export function countDeviations(found: readonly Pick<Deviation, 'change'>[]): string {
  const counted = (['added', 'removed', 'changed'] as const).flatMap((change) => {
    const count = found.filter((one) => one.change === change).length;
    return count === 0 ? [] : [`${count} ${change}`];
  });
  return `${found.length} object${found.length === 1 ? '' : 's'}: ${counted.join(', ')}`;
}

function aspectLines(object: string, change: Deviation['change'], { aspect, before, after }: AspectChange): string[] {
  const label = LABELS[aspect] ?? aspect;
  const [was, is] = [spelled(object, aspect, before), spelled(object, aspect, after)];
  if (aspect === 'grants') return listed(label, before, after);
  if (!`${was ?? ''}${is ?? ''}`.includes('\n')) {
    if (change !== 'changed') return [`    ${label}: ${short(was ?? is)}`];
    return [`    ${label}: ${short(was)} → ${short(is)}`];
  }
  return [`    ${label}:`, ...codeLines(was, is)];
}

/** Who may do what: only the lines that came or went. */
function listed(label: string, before: string | null, after: string | null): string[] {
  const [was, is] = [before?.split('\n') ?? [], after?.split('\n') ?? []];
  return [
    ...was.filter((line) => !is.includes(line)).map((line) => `    ${label} - ${visible(line)}`),
    ...is.filter((line) => !was.includes(line)).map((line) => `    ${label} + ${visible(line)}`),
  ];
}

/** What both begin and end with is left out; of the rest as much as fits. */
function codeLines(before: string | null, after: string | null): string[] {
  const [was, is] = [before?.trimEnd().split('\n') ?? [], after?.trimEnd().split('\n') ?? []];
  let [from, cut] = [0, 0];
  while (from < Math.min(was.length, is.length) && was[from] === is[from]) from++;
  while (cut < Math.min(was.length, is.length) - from && was.at(-1 - cut) === is.at(-1 - cut)) cut++;
  const side = (sign: string, lines: readonly string[]) => {
    const changed = lines.slice(from, lines.length - cut);
    const more = changed.length - CODE_LINES;
    return [
      ...changed.slice(0, CODE_LINES).map((line) => `      ${sign} ${visible(line.replaceAll('\t', '  '))}`),
      ...(more > 0 ? [`      ${sign} … ${more} more lines: --json has all of them`] : []),
    ];
  };
  return [...(from > 0 ? [`      @@ line ${from + 1}`] : []), ...side('-', was), ...side('+', is)];
}

function short(value: string | null): string {
  if (value === null) return '(none)';
  const text = visible(value);
  return text.length > VALUE_CHARS ? `${text.slice(0, VALUE_CHARS)}…` : text;
}

const LABELS: Readonly<Record<string, string>> = {
  rowSecurity: 'row security',
  forced: 'row security also for the owner',
  notNull: 'not null',
  partitionKey: 'partitioned by',
  partition: 'partition of values',
  createRole: 'may create roles',
  super: 'superuser',
  login: 'may log in',
  using: 'using',
  check: 'with check',
};

/** Letters of the catalogue as words, where a reader couldn't know. */
function spelled(object: string, aspect: string, value: string | null): string | null {
  if (value === null) return null;
  const kind = object.startsWith('column ') ? 'column' : 'other';
  return WORDS[`${kind} ${aspect}`]?.[value] ?? WORDS[aspect]?.[value] ?? value;
}

const WORDS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  enabled: { O: 'yes', D: 'no', R: 'only on replicas', A: 'always, on replicas too' },
  persistence: { p: 'kept', u: 'unlogged', t: 'temporary' },
  roles: { '{-}': 'PUBLIC' },
  command: { r: 'SELECT', a: 'INSERT', w: 'UPDATE', d: 'DELETE', '*': 'ALL' },
  'other identity': { d: 'primary key', n: 'nothing', f: 'all columns', i: 'an index' },
  'column identity': { a: 'always', d: 'by default' },
  'column generated': { s: 'stored', v: 'virtual' },
};

import { visible } from '../../domain/visible.ts';
import type { ActivityEntry } from './activity.ts';

/** How a file of entries ended: a reader must see whether something is missing of what was asked for. */
export interface ExportEnd {
  readonly entries: number;
  readonly complete: boolean;
  /** Entries before this place were not looked at; ask on with it as `before`. */
  readonly next: number | null;
  /** The newest entries that filters don't find yet. */
  readonly unfiled: number;
}

const COLUMNS = {
  entry: ({ index }) => String(index),
  at: ({ at }) => at,
  kind: ({ kind }) => kind,
  decision: ({ decision }) => decision,
  actor: ({ actor }) => actor,
  on_behalf_of: ({ onBehalfOf }) => onBehalfOf,
  target: ({ target }) => target,
  tables: ({ tables }) => tables.join(' '),
  task: ({ task }) => task,
  plan: ({ plan }) => plan,
  subject: ({ subject }) => subject,
  reason: ({ body }) => said(body, 'reason') ?? said(body, 'purpose') ?? said(body, 'why'),
  statements: ({ body }) => shapesOf(body),
} as const satisfies Readonly<Record<string, (entry: ActivityEntry) => string | null>>;

/** The first line of a table of entries (RFC 4180). */
export const CSV_HEAD = `${Object.keys(COLUMNS).join(',')}\r\n`;

/** An entry as a line of a table. */
export function csvLine(entry: ActivityEntry): string {
  return row(Object.values(COLUMNS).map((column) => column(entry) ?? ''));
}

/** What comes after the last entry: nothing where nothing is missing. */
export function csvEnd({ complete, next, unfiled }: ExportEnd): string {
  if (complete) return '';
  const why =
    next === null
      ? `the newest ${unfiled} entries are not found by filters yet`
      : `more entries lie before ${next}: go on with before=${next}`;
  return row(['INCOMPLETE', '', why, ...Array.from({ length: Object.keys(COLUMNS).length - 3 }, () => '')]);
}

function row(cells: readonly string[]): string {
  return `${cells.map(cell).join(',')}\r\n`;
}

/** Programs for tables run what begins so: texts here are written by whom the reader is to judge. */
const FORMULA = /^\s*[=+\-@＝＋－＠]/;

function cell(text: string): string {
  const shown = visible(text);
  const harmless = FORMULA.test(shown) ? `'${shown}` : shown;
  return /[",]/.test(harmless) || harmless !== harmless.trim() ? `"${harmless.replaceAll('"', '""')}"` : harmless;
}

function said(body: unknown, name: string): string | null {
  const value = typeof body === 'object' && body !== null ? (body as Readonly<Record<string, unknown>>)[name] : null;
  return typeof value === 'string' ? value : null;
}

/** Statements with their constants taken out: the ledger has no others. */
function shapesOf(body: unknown): string {
  const { statements } = (body ?? {}) as { readonly statements?: unknown };
  if (!Array.isArray(statements)) return '';
  return [...new Set(statements.flatMap((one) => said(one, 'shape') ?? []))].join('; ');
}

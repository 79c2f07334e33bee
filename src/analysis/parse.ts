import type { DatabaseFailure } from '../domain/database-failure.ts';
import { hasEndlessOperators } from './endless-operators.ts';
import {
  loadParser,
  normalise,
  ParserExhausted,
  parseToJson,
  type SyntaxComplaint,
  type Token,
  tokensOf,
} from './parser.ts';
import { hasTooManyTokens } from './text-size.ts';

/** A node of PostgreSQL's parse tree as libpg_query writes it: `{ SelectStmt: { … } }`. */
export type Tree = { readonly [key: string]: unknown };

export interface ParsedStatement {
  /** The statement's kind, e.g. `SelectStmt`. */
  readonly kind: string;
  readonly node: Tree;
}

/** Longer texts are refused before the parser sees them: while it works, the thread that all sessions share does nothing else. */
const MAX_TEXT_CHARS = 1024 * 1024;

/** Loads the parser. Must be awaited once before anything is analysed. */
export async function initAnalyser(): Promise<void> {
  await loadParser();
}

/**
 * Cuts a text into its statements, by PostgreSQL's own grammar.
 *
 * @returns each statement with where it begins (in characters), or the error that PostgreSQL would report.
 */
export function splitStatements(
  text: string,
): readonly { readonly text: string; readonly start: number }[] | DatabaseFailure {
  const parsed = parseTree(text);
  if ('sqlstate' in parsed) return parsed;
  if (parsed.length <= 1) return parsed.length === 0 ? [] : [{ text, start: 0 }];
  // Offsets count bytes of UTF-8.
  const bytes = Buffer.from(text, 'utf8');
  let reached = 0;
  let start = 0;
  return parsed.map(({ location, length }) => {
    start += characters(bytes, reached, location);
    reached = location;
    const end = length === 0 ? bytes.length : location + length;
    return { text: bytes.subarray(location, end).toString('utf8'), start };
  });
}

/** As PostgreSQL counts them: by code point. */
function characters(bytes: Buffer, from: number, to: number): number {
  let count = 0;
  for (let at = from; at < to; at++) if (((bytes[at] ?? 0) & 0xc0) !== 0x80) count++;
  return count;
}

/** Parses one statement. @returns the tree, `empty` for a text without a statement, or the error as PostgreSQL reports it. */
export function parseStatement(text: string): ParsedStatement | DatabaseFailure | 'empty' {
  const parsed = parseTree(text);
  if ('sqlstate' in parsed) return parsed;
  const [first] = parsed;
  if (first === undefined) return 'empty';
  if (parsed.length > 1) return syntaxError('cannot insert multiple commands into a prepared statement');
  return { kind: first.kind, node: first.node };
}

/** The text with its constants taken out. */
export function shapeOf(text: string): string {
  const bare = text.length > LONGEST_NORMALISED ? text.replace(LITERALS, '?').replace(NUMBERS, '?') : normalised(text);
  return withoutLiterals(bare).replace(/\s+/g, ' ').trim().slice(0, 2000);
}

/** The parser takes longer to normalise a long text than to parse it, and only its beginning is kept. */
const LONGEST_NORMALISED = 32 * 1024;
const NUMBERS = /(?<![\w$"])[\d.]+(?:e[+-]?\d+)?/gi;

/** Some texts can't be normalised; their literals are taken out all the same. */
function normalised(text: string): string {
  try {
    return normalise(text) ?? text;
  } catch (error) {
    if (error instanceof ParserExhausted) return text;
    throw error;
  }
}

const LITERALS =
  /"(?:[^"]|"")*"|--[^\n]*|\/\*[\s\S]*?\*\/|\be'(?:[^'\\]|\\[\s\S]|'')*'|'(?:[^']|'')*(?:'|$)|\$((?:[a-z_\u0080-\uffff][\w\u0080-\uffff]*)?)\$[\s\S]*?\$\1\$/gi;

/** Definitions and comments keep their literals when they are normalised: DEFAULT 'x', COMMENT … IS 'x'. */
function withoutLiterals(text: string): string {
  return text.replace(LITERALS, (found) => (found.startsWith('"') ? found : /^(?:--|\/\*)/.test(found) ? ' ' : '?'));
}

function parseTree(
  text: string,
):
  | readonly { readonly kind: string; readonly node: Tree; readonly location: number; readonly length: number }[]
  | DatabaseFailure {
  // The parser takes a NUL for the end of the text, and would not see what comes after it.
  if (text.includes('\0')) return syntaxError('the statement holds a NUL character');
  if (text.length > MAX_TEXT_CHARS) {
    return {
      severity: 'ERROR',
      sqlstate: '54000',
      message: `the text is longer than ${MAX_TEXT_CHARS} characters`,
      hint: 'Send the statements in several texts, or the values by COPY or as bound parameters, which may be up to 1 GB.',
    };
  }
  if (hasEndlessOperators(text)) return tooComplex('the statement holds an operator without end');
  if (!text.isWellFormed()) return syntaxError('the statement is not valid Unicode');
  if (text.trim() === '') return [];
  if (hasTooManyTokens(text)) return tooComplex('the statement has too many words and signs');
  const parsed = parseOnce(text);
  // Between two words that belong together (NOT IN, NULLS FIRST, WITH ORDINALITY) the parser minds a comment; the server doesn't.
  return 'sqlstate' in parsed && /--|\/\*/.test(text) ? parseOnce(withoutComments(text)) : parsed;
}

/** The text with spaces for its comments, so that everything else stays where it is. */
function withoutComments(text: string): string {
  const bytes = Buffer.from(text, 'utf8');
  for (const { tokenName, start, end } of tokensIn(text, 'with comments')) {
    if (isComment(tokenName)) bytes.fill(' ', start, end);
  }
  return bytes.toString('utf8');
}

/** The words of a text, in bytes of UTF-8; none where the parser can't cut it. */
export function tokensIn(text: string, comments?: 'with comments'): readonly Token[] {
  try {
    const tokens = tokensOf(text);
    return comments === undefined ? tokens.filter(({ tokenName }) => !isComment(tokenName)) : tokens;
  } catch (error) {
    if (error instanceof ParserExhausted) return [];
    throw error;
  }
}

function isComment(tokenName: string): boolean {
  return tokenName === 'SQL_COMMENT' || tokenName === 'C_COMMENT';
}

function parseOnce(text: string): ReturnType<typeof parseTree> {
  try {
    const parsed = parseToJson(text);
    if ('wrong' in parsed) return asTheServerSays(parsed.wrong);
    const { stmts = [] } = JSON.parse(parsed.tree) as ParseResult;
    return stmts.flatMap(({ stmt, stmt_location: location = 0, stmt_len: length = 0 }) => {
      const [kind] = Object.keys(stmt ?? {});
      if (stmt === undefined || kind === undefined) return [];
      return [{ kind, node: stmt[kind] as Tree, location, length }];
    });
  } catch (error) {
    if (error instanceof ParserExhausted) return tooComplex(error.message);
    throw error;
  }
}

interface ParseResult {
  readonly stmts?: readonly { readonly stmt?: Tree; readonly stmt_location?: number; readonly stmt_len?: number }[];
}

/** statement_too_complex (PostgreSQL, "Error Codes"). */
function tooComplex(message: string): DatabaseFailure {
  return { severity: 'ERROR', sqlstate: '54001', message, hint: 'Send it in parts, or its values by COPY.' };
}

/** The parser tells neither SQLSTATE nor hint; these are the ones that are not the usual. */
function asTheServerSays({ message, cursorPosition, fileName }: SyntaxComplaint): DatabaseFailure {
  if (message.startsWith('invalid byte sequence for encoding')) return { ...syntaxError(message), sqlstate: '22021' };
  const error = { ...syntaxError(message), position: String(cursorPosition + 1) };
  if (message === 'invalid Unicode escape') {
    const forms = fileName === 'scan.l' ? '\\uXXXX or \\UXXXXXXXX' : '\\XXXX or \\+XXXXXX';
    return { ...error, sqlstate: '22025', hint: `Unicode escapes must be ${forms}.` };
  }
  if (message.endsWith('syntax is not supported')) {
    return { ...error, hint: 'Use separate LIMIT and OFFSET clauses.' };
  }
  return cursorPosition < 0 ? syntaxError(message) : error;
}

export function syntaxError(message: string): DatabaseFailure {
  return { sqlstate: '42601', severity: 'ERROR', message };
}

/** The strings of a list of name parts. */
export function names(list: unknown): readonly string[] {
  if (!Array.isArray(list)) return [];
  return list.flatMap((item) => {
    const text = isTree(item) ? (item['String'] as Tree | undefined)?.['sval'] : undefined;
    return typeof text === 'string' ? [text] : [];
  });
}

export function isTree(value: unknown): value is Tree {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

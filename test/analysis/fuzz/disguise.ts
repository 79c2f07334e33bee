import type { Random } from './random.ts';

/** One token of SQL with the white space and comments before it. Good enough to cut a text; not a lexer to trust. */
const TOKEN =
  /(?:\s|--[^\n]*(?:\n|$)|\/\*(?:[^*]|\*(?!\/))*\*\/)*(?:[eEuUbBxXnN]?&?'(?:[^'\\]|''|\\.)*'|\$(\w*)\$[\s\S]*?\$\1\$|(?:[uU]&)?"(?:[^"]|"")*"|[\p{L}_][\p{L}\p{N}_$]*|\d[\w.]*|::|:=|=>|[-+*/<>=~!@#%^&|`?]+|[\s\S])/gu;

/** A text in pieces that can be taken out, swapped and put back. */
export function tokensOf(text: string): string[] {
  return text.match(TOKEN) ?? [text];
}

const SPACES = [
  ' ',
  '  ',
  '\n',
  '\t',
  '\r\n',
  '\f',
  ' /* drop table t1 */ ',
  ' /* /* nested */ */ ',
  ' -- delete;\n',
  '\v',
];

/** The same statement as an attacker or an odd tool writes it: cases, white space, comments, escapes. */
export function disguised(random: Random, text: string): string {
  if (random.chance(0.6)) return text;
  return tokensOf(text)
    .map((token) => {
      const [space] = /^\s*/.exec(token) ?? [''];
      const word = token.slice(space.length);
      const before = space !== '' && random.chance(0.15) ? random.pick(SPACES) : space;
      if (/^[A-Z]+$/.test(word) && random.chance(0.3)) return before + word.toLowerCase();
      if (/^[a-z][a-z0-9_]*$/.test(word) && random.chance(0.05)) return `${before}${quoted(random, word)}`;
      return before + word;
    })
    .join('');
}

/** An identifier in quotes, perhaps with its first letter as an escape. Keywords and type names change their meaning by it. */
function quoted(random: Random, word: string): string {
  if (NOT_QUOTABLE.has(word)) return word;
  const code = word.charCodeAt(0).toString(16).padStart(4, '0');
  return random.chance(0.3) ? `U&"\\${code}${word.slice(1)}"` : `"${word}"`;
}

const NOT_QUOTABLE = new Set([
  'int',
  'boolean',
  'interval',
  'numeric',
  'text',
  'date',
  'timestamptz',
  'true',
  'false',
  'place',
  'row',
  'bytea',
  'greatest',
  'coalesce',
  'nullif',
  'normalize',
  'position',
  'substring',
  'overlay',
  'trim',
  'xml',
  'year',
]);

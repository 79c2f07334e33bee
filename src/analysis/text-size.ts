/**
 * Whether a text has more words and signs than the parser is given. What it takes is a matter of their number: a statement of
 * a megabyte that is one long string is nothing, one of half a million commas would hold everybody up for seconds.
 *
 * An estimate, for texts that come near: whatever gets through costs one copy of the parser at worst (`ParserExhausted`).
 */
export function hasTooManyTokens(text: string): boolean {
  // A token is at least one character.
  if (text.length <= MOST_TOKENS) return false;
  let tokens = 0;
  TOKEN.lastIndex = 0;
  while (TOKEN.test(text)) if (++tokens > MOST_TOKENS) return true;
  return false;
}

/** A thousand rows of forty values are within. */
const MOST_TOKENS = 100_000;

const TOKEN =
  /[eE]'(?:[^'\\]|\\[\s\S]|'')*'?|'(?:[^']|'')*'?|"(?:[^"]|"")*"?|--[^\n]*|\/\*[\s\S]*?\*\/|\$((?:[A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*)?)\$[\s\S]*?\$\1\$|[\w$\u0080-\uffff]+|[^\s\w]/g;

/**
 * A text that a regular expression matches: for columns whose check constraint demands one. Knows what such constraints
 * use: literals, classes, `.`, groups, alternatives, quantifiers, anchors, `\d \w \s`.
 *
 * @param pick chooses one of `count`, from 0.
 * @returns undefined for a pattern with anything else in it; whether the database takes the text is for the database to say.
 */
export function matchingText(pattern: string, pick: (count: number) => number): string | undefined {
  const reader = { pattern, at: 0, pick };
  try {
    const text = alternatives(reader);
    return reader.at === pattern.length ? text : undefined;
  } catch (error) {
    if (error instanceof NotKnown) return undefined;
    throw error;
  }
}

class NotKnown extends Error {}

interface Reader {
  readonly pattern: string;
  at: number;
  readonly pick: (count: number) => number;
}

function alternatives(reader: Reader): string {
  const found = [sequence(reader)];
  while (reader.pattern[reader.at] === '|') {
    reader.at++;
    found.push(sequence(reader));
  }
  return found[reader.pick(found.length)] ?? '';
}

function sequence(reader: Reader): string {
  let text = '';
  while (reader.at < reader.pattern.length && !'|)'.includes(reader.pattern[reader.at] ?? '')) {
    const before = reader.at;
    const first = atom(reader);
    const after = reader.at;
    const [least, most] = quantifier(reader);
    const end = reader.at;
    const times = least + reader.pick(Math.min(most, least + 3) - least + 1);
    for (let n = 0; n < times; n++) {
      // Read anew, so that each repetition may be another text.
      reader.at = before;
      text += n === 0 && before === after ? first : atom(reader);
    }
    reader.at = end;
  }
  return text;
}

function atom(reader: Reader): string {
  const char = reader.pattern[reader.at++] ?? '';
  switch (char) {
    case '^':
    case '$':
      return '';
    case '.':
      return letter(reader);
    case '(': {
      if (reader.pattern.startsWith('?', reader.at)) {
        if (!reader.pattern.startsWith('?:', reader.at)) throw new NotKnown();
        reader.at += 2;
      }
      const text = alternatives(reader);
      if (reader.pattern[reader.at++] !== ')') throw new NotKnown();
      return text;
    }
    case '[':
      return oneOf(reader);
    case '\\':
      return escaped(reader, reader.pattern[reader.at++] ?? '');
    default:
      return char;
  }
}

function escaped(reader: Reader, char: string): string {
  if (char === 'd') return String(reader.pick(10));
  if (char === 'w') return letter(reader);
  if (char === 's') return ' ';
  if (/[a-z0-9]/i.test(char)) throw new NotKnown();
  return char;
}

function letter(reader: Reader): string {
  return String.fromCharCode(97 + reader.pick(26));
}

/** `[A-Z0-9_]`; of a negated class, the first printable character that is not in it. */
function oneOf(reader: Reader): string {
  const negated = reader.pattern[reader.at] === '^';
  if (negated) reader.at++;
  const chars: string[] = [];
  for (let first = true; first || reader.pattern[reader.at] !== ']'; first = false) {
    if (reader.at >= reader.pattern.length) throw new NotKnown();
    const named = /^\[:(alpha|digit|alnum|upper|lower|space):\]/.exec(reader.pattern.slice(reader.at));
    if (named !== null) {
      reader.at += named[0].length;
      chars.push(...(NAMED[named[1] ?? ''] ?? ''));
      continue;
    }
    let char = reader.pattern[reader.at++] ?? '';
    if (char === '\\') char = escaped(reader, reader.pattern[reader.at++] ?? '');
    const until = reader.pattern[reader.at + 1];
    if (reader.pattern[reader.at] === '-' && until !== undefined && until !== ']') {
      reader.at += 2;
      for (let code = char.charCodeAt(0); code <= until.charCodeAt(0); code++) chars.push(String.fromCharCode(code));
    } else chars.push(char);
  }
  reader.at++;
  if (!negated) return chars[reader.pick(chars.length)] ?? '';
  return [...'abcxyz0123456789-_. '].find((char) => !chars.includes(char)) ?? '';
}

const NAMED: Readonly<Record<string, string>> = {
  alpha: 'abcABC',
  digit: '0123456789',
  alnum: 'abcABC012',
  upper: 'ABC',
  lower: 'abc',
  space: ' ',
};

function quantifier(reader: Reader): readonly [least: number, most: number] {
  const found = /^(?:[*+?]|\{(\d+)(,(\d*))?\})\??/.exec(reader.pattern.slice(reader.at));
  if (found === null) return [1, 1];
  reader.at += found[0].length;
  if (found[1] === undefined) return found[0][0] === '*' ? [0, 3] : found[0][0] === '+' ? [1, 4] : [0, 1];
  const least = Number(found[1]);
  return [least, found[2] === undefined ? least : found[3] === '' ? least + 3 : Number(found[3])];
}

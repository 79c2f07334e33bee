import { tokensOf } from './disguise.ts';
import type { Random } from './random.ts';

/** Statements seen so far, to breed from. */
export type Corpus = string[];

/** A statement out of others: tokens deleted, doubled or swapped, sub-trees (what stands in parentheses) exchanged. */
export function mutated(random: Random, corpus: Corpus): string {
  const tokens = tokensOf(random.pick(corpus));
  const rounds = 1 + random.below(3);
  for (let round = 0; round < rounds; round++) {
    const at = random.below(tokens.length);
    random.among<void>([
      [2, () => void tokens.splice(at, 1)],
      [1, () => void tokens.splice(at, 0, random.pick(tokensOf(random.pick(corpus))))],
      [1, () => void tokens.splice(at, 1, random.pick(tokensOf(random.pick(corpus))))],
      [1, () => void tokens.splice(at, 0, ...tokens.slice(at, at + 1 + random.below(6)))],
      [4, () => graft(random, tokens, tokensOf(random.pick(corpus)))],
    ]);
    if (tokens.length === 0) return ';';
  }
  return tokens.join('');
}

/** Puts what stands in parentheses in one text where something in parentheses stands in another. */
function graft(random: Random, tokens: string[], other: readonly string[]): void {
  const here = groupsOf(tokens);
  const there = groupsOf(other);
  if (here.length === 0 || there.length === 0) return;
  const [from, to] = random.pick(here);
  const [start, end] = random.pick(there);
  tokens.splice(from, to - from, ...other.slice(start, end));
}

function groupsOf(tokens: readonly string[]): readonly (readonly [number, number])[] {
  const open: number[] = [];
  const groups: [number, number][] = [];
  for (const [index, token] of tokens.entries()) {
    const sign = token.trim();
    if (sign === '(') open.push(index);
    if (sign === ')') {
      const start = open.pop();
      if (start !== undefined) groups.push([start, index + 1]);
    }
  }
  return groups;
}

const NESTS: readonly (readonly [string, string, string])[] = [
  ['(', '1', ')'],
  ['(SELECT ', '1', ')'],
  ['NOT ', 'true', ''],
  ['- ', '1', ''],
  ['ARRAY[', '1', ']'],
  ['CASE WHEN true THEN ', '1', ' END'],
  ['1 + ', '1', ''],
  ['(SELECT * FROM ', 't', ') AS a'],
  ['WITH a AS (', 'SELECT 1', ') SELECT 1'],
  ['lower(', "'a'", ')'],
  ['', '1', '::int'],
  ["'a' || ", "'b'", ''],
  ['SELECT 1 UNION ', 'SELECT 1', ''],
  ['t.', 'a', ''],
  ['', 'a', '[1]'],
  ['/*', 'x', '*/'],
  ['EXPLAIN ', 'SELECT 1', ''],
];

/** What no person writes: soup of tokens and bytes, and nesting without end. */
export function soup(random: Random, corpus: Corpus): string {
  return random.among<string>([
    [3, () => random.several(1, 40, () => random.pick(tokensOf(random.pick(corpus)))).join(' ')],
    [
      1,
      () =>
        random
          .several(1, 60, () =>
            String.fromCodePoint(
              random.pick([
                0, 1, 10, 34, 36, 39, 40, 41, 42, 45, 47, 59, 92, 65, 0xd800, 0xfffd, 0x1f600, 0x202e, 0xa0, 0x37e,
                0x430,
              ]),
            ),
          )
          .join(''),
    ],
    [
      1,
      () => {
        const [open, middle, close] = random.pick(NESTS);
        const times = random.pick([10, 100, 1000, 20_000]);
        return `SELECT ${open.repeat(times)}${middle}${close.repeat(times)}`;
      },
    ],
    [1, () => `${random.pick(corpus)};${random.pick(corpus)}`],
  ]);
}

import { describe, expect, it } from 'vitest';
import { matchingText } from '../../src/redteam/matching-text.ts';

describe('a text that a pattern matches', () => {
  it.each([
    '^[A-Z]{1,3}-[A-Z0-9]{2,8}$',
    '^\\d{5}(-\\d{4})?$',
    '^(red|green|blue)$',
    '^[^@ ]+@[a-z]+\\.(com|org)$',
    '^\\+[0-9 ]{6,12}$',
    '^[[:alpha:]][[:alnum:]_]*$',
    '^(?:a|b){2}c?.+$',
    'x*y',
  ])('%s', (pattern) => {
    // Where JavaScript writes it otherwise.
    const same = new RegExp(pattern.replaceAll('[:alpha:]', 'A-Za-z').replaceAll('[:alnum:]', 'A-Za-z0-9'));
    for (let seed = 0; seed < 50; seed++) {
      let calls = seed;
      const text = matchingText(pattern, (count) => (calls++ * 7 + seed) % count);
      expect(text, pattern).toMatch(same);
    }
  });

  it.each(['(?=a)b', '\\bword', '(open', 'a)'])('is not made up for %s', (pattern) => {
    expect(matchingText(pattern, () => 0)).toBeUndefined();
  });
});

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { splice } from '../../src/pipeline/splice.ts';

describe('splice', () => {
  it('tells of every position outside of what was put in where it was before', () => {
    const pieces = fc.array(fc.tuple(fc.string({ unit: 'grapheme' }), fc.string({ unit: 'grapheme' }), fc.string()), {
      maxLength: 4,
    });
    fc.assert(
      fc.property(pieces, fc.string(), (parts, rest) => {
        let text = '';
        const patches = parts.map(([before, replaced, put]) => {
          const start = Buffer.byteLength(text + before);
          text += before + replaced;
          return { start, end: Buffer.byteLength(text), text: put };
        });
        const spliced = splice(text + rest, patches);
        expect(spliced.text).toBe(parts.map(([before, , put]) => before + put).join('') + rest);
        let [here, there] = [0, 0];
        for (const [before, replaced, put] of parts) {
          for (const _ of before) expect(spliced.positionBefore(++there)).toBe(++here);
          for (const _ of put) expect(spliced.positionBefore(++there)).toBe(here + 1);
          here += [...replaced].length;
        }
        for (const _ of rest) expect(spliced.positionBefore(++there)).toBe(++here);
      }),
    );
  });
});

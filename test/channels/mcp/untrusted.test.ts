import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fenced } from '../../../src/channels/mcp/untrusted.ts';
import { visible } from '../../../src/domain/visible.ts';

describe('data of the database in a text', () => {
  it('can’t begin a line, whatever it holds, and so can’t close its fence', () => {
    fc.assert(
      fc.property(fc.array(fc.array(fc.oneof(fc.string({ unit: 'binary' }), fc.constant(null)))), (rows) => {
        const lines = fenced(rows).split(/[\n\r\u0085\u2028\u2029]/);
        const begin = lines.findIndex((line) => line.startsWith('--- begin '));
        expect(lines.length).toBe(begin + 2 + rows.length);
        expect(lines.at(-1)).toMatch(/^--- end untrusted-[0-9a-f]{24} ---$/);
        expect(lines.slice(begin + 1, -1).map((line) => JSON.parse(line))).toEqual(JSON.parse(JSON.stringify(rows)));
      }),
    );
  });

  it('stands between boundaries that differ each time', () => {
    expect(fenced(['x'])).not.toBe(fenced(['x']));
  });

  it('shows what a reader would not see', () => {
    expect(visible('a\u200bb\u202ec\u{e0041}d\ne\u2028')).toBe('a\\u200bb\\u202ec\\udb40\\udc41d\\u000ae\\u2028');
  });
});

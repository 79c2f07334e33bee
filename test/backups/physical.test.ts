import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { differences } from '../../src/backups/compare.ts';
import { isUnseen, parseSnapshot } from '../../src/backups/physical/snapshot.ts';
import { beginningOf, commitIn, placeOf, segmentBefore } from '../../src/backups/physical/write-ahead-log.ts';

const MB = 1_048_576;

describe('G10 the log between a base backup and what was hashed', () => {
  it('knows where segments begin, and which comes before which', () => {
    expect(beginningOf('000000010000000A000000FE', 16 * MB)).toBe('A/FE000000');
    expect(segmentBefore('000000010000000A00000000', 16 * MB)).toBe('0000000100000009000000FF');
    expect(segmentBefore('000000020000000A00000000', 1024 * MB)).toBe('000000020000000900000003');
    expect(segmentBefore('000000010000000000000002', 16 * MB)).toBe('000000010000000000000001');
  });

  it('finds commits, also of what was prepared, and nothing else', () => {
    const line = (rest: string) =>
      `rmgr: Transaction len (rec/tot):     34/    34, tx:        745, lsn: 0/01E15A10, prev 0/01E159D0, ${rest}`;
    expect(commitIn(line('desc: COMMIT 2026-11-21 22:00:00.0 UTC; subxacts: 746'))).toEqual({
      xid: 745,
      lsn: '0/01E15A10',
    });
    expect(commitIn(line('desc: COMMIT_PREPARED 740: 2026-11-21 22:00:00.0 UTC'))).toEqual({
      xid: 740,
      lsn: '0/01E15A10',
    });
    expect(commitIn(line('desc: ABORT 2026-11-21 22:00:00.0 UTC'))).toBeUndefined();
    expect(commitIn(line('desc: PREPARE gid x'))).toBeUndefined();
    expect(placeOf('A/FE000000') < placeOf('B/10')).toBe(true);
  });

  it('takes for unseen what was under way or came later, and nothing older, past the end of 32 bits too', () => {
    fc.assert(
      fc.property(fc.bigInt(3n, 1n << 40n), fc.integer({ min: 0, max: 1_000_000 }), (xmax, ahead) => {
        const snapshot = parseSnapshot(`2:${xmax}:`);
        const low = (xid: bigint) => Number(BigInt.asUintN(32, xid));
        expect(isUnseen(snapshot, low(xmax + BigInt(ahead)))).toBe(true);
        expect(isUnseen(snapshot, low(xmax - 1n - BigInt(ahead)))).toBe(false);
      }),
    );
    expect(isUnseen(parseSnapshot('10:20:12,15'), 15)).toBe(true);
    expect(isUnseen(parseSnapshot('10:20:12,15'), 14)).toBe(false);
    expect(() => parseSnapshot('10:20')).toThrow();
  });

  it('lets sequences skip, and never fall behind', () => {
    const content = (lastValue: string | null) => ({
      tables: [],
      largeObjects: 0,
      definitions: {},
      sequences: [{ sequence: 'public.ids', lastValue }],
    });
    expect(differences(content('100'), content('132'), 'not behind')).toEqual([]);
    expect(differences(content('100'), content('99'), 'not behind')).toHaveLength(1);
    expect(differences(content('100'), content(null), 'not behind')).toHaveLength(1);
    expect(differences(content('100'), content('132'))).toHaveLength(1);
  });
});

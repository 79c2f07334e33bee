import { describe, expect, it } from 'vitest';
import { differences } from '../../src/backups/compare.ts';
import type { Content } from '../../src/domain/backup.ts';

const CONTENT: Content = {
  tables: [{ table: 'public.a', rows: 1, hash: 'x' }],
  sequences: [{ sequence: 'public.s', lastValue: '1' }],
  largeObjects: 1,
  largeObjectsHash: '7 7',
  definitions: { 'table public.a': 'd' },
};

describe('what a drill has restored', () => {
  it('is as it was where nothing differs', () => {
    expect(differences(CONTENT, CONTENT)).toEqual([]);
  });

  it.each<[string, Partial<Content>, string[]]>([
    ['a table is missing', { tables: [] }, ['table public.a is missing (it had 1 rows)']],
    [
      'a row is missing',
      { tables: [{ table: 'public.a', rows: 0, hash: 'x' }] },
      ['table public.a has 0 rows, it had 1'],
    ],
    [
      'a row is another',
      { tables: [{ table: 'public.a', rows: 1, hash: 'y' }] },
      ['table public.a has 1 rows as before, but not the same'],
    ],
    [
      'a table is more',
      { tables: [...CONTENT.tables, { table: 'public.b', rows: 0, hash: '' }] },
      ['table public.b is there, and was not backed up'],
    ],
    [
      'a sequence fell back',
      { sequences: [{ sequence: 'public.s', lastValue: null }] },
      ['sequence public.s is at its start, it was at 1'],
    ],
    ['a sequence is missing', { sequences: [] }, ['sequence public.s is missing']],
    [
      'a large object is another',
      { largeObjectsHash: '7 8' },
      ['there are 1 large objects as before, but not the same'],
    ],
    ['large objects are missing', { largeObjects: 0 }, ['there are 0 large objects, there were 1']],
    ['a definition is missing', { definitions: {} }, ['table public.a is missing']],
    ['a definition is another', { definitions: { 'table public.a': 'e' } }, ['table public.a is defined otherwise']],
    [
      'a definition is more',
      { definitions: { ...CONTENT.definitions, 'view public.v': 'e' } },
      ['view public.v was not there'],
    ],
  ])('is told where %s', (_what, restored, said) => {
    expect(differences(CONTENT, { ...CONTENT, ...restored })).toEqual(said);
  });
});

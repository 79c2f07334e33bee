import { bind, copyFail, execute, parse, query, SYNC, TERMINATE } from '../../../src/engines/postgres/wire-messages.ts';
import { COPY_DONE, copyData } from './message-sequences.ts';

/** What random sequences have found, as short as it could be made. */
export const KEPT: readonly { readonly what: string; readonly frames: readonly Buffer[] }[] = [
  {
    what: 'a batch that failed, whose rest is skipped up to the Sync, simple queries too',
    frames: [execute('nope', 0), query('SELECT 1'), SYNC, query('SELECT 2'), SYNC, TERMINATE],
  },
  {
    what: 'a query where rows are awaited: the connection ends, and the query is not run',
    frames: [query('COPY inbox (id, note) FROM STDIN'), copyData('1\tx\n'), query('SELECT 1'), SYNC, TERMINATE],
  },
  {
    what: 'a leave-taking where rows are awaited',
    frames: [query('COPY inbox (id, note) FROM STDIN'), copyData('1\tx\n'), TERMINATE],
  },
  {
    what: 'a bound copy whose rows another message follows',
    frames: [...bound('COPY inbox (id, note) FROM STDIN'), ...bound('SELECT 1'), SYNC, TERMINATE],
  },
  {
    what: 'a query behind rows of a copy that has failed',
    frames: [query('COPY inbox (id) FROM STDIN'), copyData('99999\n'), query('SELECT 1'), SYNC, TERMINATE],
  },
  {
    what: 'rows of a copy that was refused',
    frames: [query('COPY inbox (nope) FROM STDIN'), copyData('1\n'), COPY_DONE, copyFail('no'), SYNC, TERMINATE],
  },
  {
    what: 'a name that is taken, in a transaction that has failed',
    frames: [
      parse('s', 'SELECT 1', []),
      SYNC,
      query('BEGIN'),
      query('SELECT 1/0'),
      parse('s', 'SELECT 1', []),
      SYNC,
      parse('s', 'ROLLBACK', []),
      SYNC,
      TERMINATE,
    ],
  },
];

function bound(sql: string): readonly Buffer[] {
  return [
    parse('', sql, []),
    bind({ portal: '', statement: '', formats: [], values: [], resultFormats: [] }),
    execute('', 0),
  ];
}

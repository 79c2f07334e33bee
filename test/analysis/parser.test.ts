import { beforeAll, describe, expect, it } from 'vitest';
import { initAnalyser, parseStatement, shapeOf, splitStatements } from '../../src/analysis/parse.ts';
import { parseToJson } from '../../src/analysis/parser.ts';

beforeAll(() => initAnalyser());

/** What is just below the size at which a text isn't read at all. */
const MEGABYTE = 1024 * 1024 - 64;

const BOMBS: readonly (readonly [name: string, text: string])[] = [
  ['a sum', `SELECT ${'1+'.repeat(MEGABYTE / 2 - 8)}1`],
  ['a list', `SELECT ${'1,'.repeat(MEGABYTE / 2 - 8)}1`],
  ['parentheses', `SELECT ${'('.repeat(MEGABYTE / 2 - 8)}1${')'.repeat(MEGABYTE / 2 - 8)}`],
  ['parentheses that are few enough to be read', `SELECT ${'('.repeat(45_000)}1${')'.repeat(45_000)}`],
  ['statements', ';'.repeat(MEGABYTE)],
  ['a list behind strings that hide it', `SELECT E'\\'', ${'1,'.repeat(MEGABYTE / 2 - 32)} E'\\''`],
  ['subqueries', `SELECT ${'(SELECT '.repeat(5000)}1${')'.repeat(5000)}`],
];

describe('G12 the parser', () => {
  it.each(BOMBS)(
    'outlives %s of a megabyte, and parses for others',
    async (_, text) => {
      for (let again = 0; again < 3; again++) {
        const split = splitStatements(text);
        if ('sqlstate' in split) expect(split.sqlstate).toMatch(/^(?:54001|42601)$/);
        expect(splitStatements('SELECT 1; SELECT 2')).toHaveLength(2);
        // As between two messages of clients: what was given up is made anew.
        await new Promise((resolve) => setTimeout(resolve, 20));
        await initAnalyser();
      }
      expect(process.memoryUsage().rss).toBeLessThan(1.2e9);
    },
    30_000,
  );

  it('takes another copy when one has come to its end', async () => {
    for (let again = 0; again < 2; again++)
      expect(() => parseToJson(`SELECT ${'1+'.repeat(400_000)}1`)).toThrow('too large or nested too deeply');
    expect(parseStatement('SELECT 1')).toMatchObject({ kind: 'SelectStmt' });
    await initAnalyser();
  });

  it('reads what is long, and not much', () => {
    const long = `INSERT INTO notes VALUES (1, '${'word, '.repeat(150_000)}')`;
    expect(parseStatement(long)).toMatchObject({ kind: 'InsertStmt' });
    expect(shapeOf(long)).toBe('INSERT INTO notes VALUES (?, ?)');
  });
});

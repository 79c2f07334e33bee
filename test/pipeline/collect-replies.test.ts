import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { collectReplies } from '../../src/pipeline/collect-replies.ts';

/** A DataRow of one text value (PostgreSQL, "Message Formats"). */
function dataRow(value: string): Buffer {
  const text = Buffer.from(value);
  const row = Buffer.alloc(1 + 4 + 2 + 4 + text.length);
  row.write('D');
  row.writeInt32BE(row.length - 1, 1);
  row.writeInt16BE(1, 5);
  row.writeInt32BE(text.length, 7);
  text.copy(row, 11);
  return row;
}

describe('what a statement was answered', () => {
  it('is the same however it is cut into chunks', () => {
    const values = ['', 'a', 'b'.repeat(300), 'ü'.repeat(20), 'last'];
    const bytes = Buffer.concat([...values.map(dataRow), Buffer.from('C\0\0\0\rSELECT 5\0')]);
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: bytes.length }), { maxLength: 12 }), (cuts) => {
        const replies = collectReplies({ maxRows: 10, maxBytes: 10_000 });
        const ends = [...cuts.sort((a, b) => a - b), bytes.length];
        ends.reduce((from, to) => {
          replies.write(bytes.subarray(from, to));
          return to;
        }, 0);
        expect(replies.rows).toEqual(values.map((value) => [value]));
        expect(replies).toMatchObject({ truncated: false, command: 'SELECT 5' });
      }),
    );
  });

  it('ends at the first row that does not fit, in rows or in bytes', () => {
    const rows = collectReplies({ maxRows: 2, maxBytes: 10_000 });
    for (const value of ['1', '2', '3']) rows.write(dataRow(value));
    expect(rows).toMatchObject({ rows: [['1'], ['2']], truncated: true });
    const bytes = collectReplies({ maxRows: 10, maxBytes: 100 });
    for (const value of ['1', 'x'.repeat(200), '3']) bytes.write(dataRow(value));
    expect(bytes).toMatchObject({ rows: [['1']], truncated: true });
  });

  it('holds nothing of a row of 500 MB', () => {
    const replies = collectReplies({ maxRows: 10, maxBytes: 256 * 1024 });
    const total = 500_000_000;
    const head = Buffer.alloc(5);
    head.write('D');
    head.writeInt32BE(total + 4, 1);
    replies.write(head);
    const before = process.memoryUsage().arrayBuffers;
    const piece = Buffer.alloc(50_000);
    for (let sent = 0; sent < total; sent += piece.length) replies.write(piece);
    replies.write(dataRow('after it'));
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(10_000_000);
    expect(replies).toMatchObject({ rows: [], truncated: true });
  });
});

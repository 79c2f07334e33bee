import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import * as wire from '../../../src/engines/postgres/wire-messages.ts';

const body = (frame: Buffer) => frame.subarray(5);
const text = fc.string({ unit: 'binary' }).filter((value) => !value.includes('\0') && value.isWellFormed());
const oid = fc.nat(0xffffffff);

describe('messages', () => {
  it('reads back what it builds', () => {
    fc.assert(
      fc.property(text, text, fc.array(oid, { maxLength: 5 }), (name, sql, types) => {
        expect(wire.readQuery(body(wire.query(sql)))).toBe(sql);
        expect(wire.readParse(body(wire.parse(name, sql, types)))).toEqual({ name, sql, types });
        expect(wire.readNamed(body(wire.describe('portal', name)))).toEqual({ what: 'portal', name });
        expect(wire.readNamed(body(wire.close('statement', name)))).toEqual({ what: 'statement', name });
        expect(wire.readParameterTypes(body(wire.parameterDescription(types)))).toEqual(types);
        expect(wire.readParameterStatus(body(wire.parameterStatus(name, sql)))).toEqual([name, sql]);
        expect(wire.readTextRow(body(wire.dataRow([name, null, sql])))).toEqual([name, null, sql]);
        expect(wire.readRowDescription(body(wire.rowDescription([{ name, type: 25 }])))).toEqual([{ name, type: 25 }]);
      }),
    );
  });

  it('reads back what is bound, null and empty told apart', () => {
    const values = fc.array(fc.option(fc.uint8Array({ maxLength: 20 }).map((bytes) => Buffer.from(bytes))), {
      maxLength: 6,
    });
    fc.assert(
      fc.property(
        text,
        text,
        values,
        fc.array(fc.constantFrom(0, 1), { maxLength: 3 }),
        (portal, statement, given, resultFormats) => {
          const bound = { portal, statement, formats: [1], values: given, resultFormats };
          expect(wire.readBind(body(wire.bind(bound)))).toEqual(bound);
        },
      ),
    );
  });

  it('keeps a byte order mark: the server gets it too', () => {
    expect(wire.readQuery(Buffer.from('\ufeffselect 1\0'))).toBe('\ufeffselect 1');
    expect(wire.readNamed(Buffer.from('S\ufeffs\0'))).toEqual({ what: 'statement', name: '\ufeffs' });
  });

  it.each([
    ['no end', Buffer.from('select 1')],
    ['something after the end', Buffer.from('select 1\0; drop table t\0')],
    ['bytes that are not UTF-8', Buffer.from([0x27, 0xc0, 0xaf, 0])],
    ['a surrogate in UTF-8', Buffer.from([0xed, 0xa0, 0x80, 0])],
    ['nothing', Buffer.alloc(0)],
  ])('refuses a query with %s', (_what, bytes) => {
    expect(() => wire.readQuery(bytes)).toThrow(wire.ProtocolViolation);
  });

  it('builds nothing with a NUL in its text', () => {
    expect(() => wire.query('select 1\0; drop table t')).toThrow(wire.ProtocolViolation);
    expect(() => wire.parse('a\0b', '', [])).toThrow(wire.ProtocolViolation);
  });

  it('refuses parameters whose lengths or formats do not fit', () => {
    const good = body(
      wire.bind({ portal: '', statement: '', formats: [], values: [Buffer.from('abc')], resultFormats: [] }),
    );
    for (const length of [-2, 4, 2 ** 31 - 1, -(2 ** 31)]) {
      const bad = Buffer.from(good);
      bad.writeInt32BE(length, 6);
      expect(() => wire.readBind(bad)).toThrow(wire.ProtocolViolation);
    }
    const formats = wire.bind({ portal: '', statement: '', formats: [0, 0], values: [null], resultFormats: [] });
    expect(() => wire.readBind(body(formats))).toThrow(/2 parameter formats for 1/);
    const strange = wire.bind({ portal: '', statement: '', formats: [2], values: [null], resultFormats: [] });
    expect(() => wire.readBind(body(strange))).toThrow(/no format 2/);
  });

  it('refuses every message that is cut short or goes on too long', () => {
    const cases: [Buffer, (bytes: Buffer) => unknown][] = [
      [wire.parse('s', 'select $1', [23]), wire.readParse],
      [
        wire.bind({ portal: 'p', statement: 's', formats: [0], values: [Buffer.from('x'), null], resultFormats: [1] }),
        wire.readBind,
      ],
      [wire.describe('portal', 'p'), wire.readNamed],
      [wire.execute('p', 7), wire.readExecute],
      [wire.rowDescription([{ name: 'a', type: 23 }]), wire.readRowDescription],
      [wire.dataRow(['a', null]), wire.readTextRow],
      [wire.parameterDescription([1, 2]), wire.readParameterTypes],
      [wire.parameterStatus('a', 'b'), wire.readParameterStatus],
      [wire.readyForQuery('idle'), wire.readReadyForQuery],
      [wire.errorResponse({ severity: 'ERROR', sqlstate: '42P01', message: 'm' }), wire.readFailure],
    ];
    for (const [frame, read] of cases) {
      read(body(frame));
      for (let end = 5; end < frame.length; end++) {
        expect(() => read(frame.subarray(5, end))).toThrow(wire.ProtocolViolation);
      }
      expect(() => read(Buffer.concat([body(frame), Buffer.from([0])]))).toThrow(wire.ProtocolViolation);
    }
  });

  it('never does worse than refuse, whatever the bytes', () => {
    const readers = [
      wire.readBind,
      wire.readParse,
      wire.readNamed,
      wire.readExecute,
      wire.readFailure,
      wire.readRowDescription,
      wire.readTextRow,
      wire.readBackendKeyData,
    ];
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        for (const read of readers) {
          try {
            read(Buffer.from(bytes));
          } catch (error) {
            expect(error).toBeInstanceOf(wire.ProtocolViolation);
          }
        }
      }),
      { numRuns: 1000 },
    );
  });

  it('carries an error field by field', () => {
    const failure = { severity: 'FATAL', sqlstate: 'CS008', message: 'm', detail: 'd', hint: 'h', position: '3' };
    expect(wire.readFailure(body(wire.errorResponse(failure)))).toEqual(failure);
  });

  it('carries cancel keys of both lengths', () => {
    for (const length of [4, 32]) {
      const secret = Buffer.alloc(length, 7);
      expect(wire.readBackendKeyData(body(wire.backendKeyData(5, secret)))).toEqual({ processId: 5, secret });
    }
  });
});

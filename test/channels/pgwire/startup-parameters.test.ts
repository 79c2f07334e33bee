import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { startupSettings } from '../../../src/channels/pgwire/startup-parameters.ts';

const ask = (parameters: Record<string, string>) => startupSettings(new Map(Object.entries(parameters)));
const settings = (parameters: Record<string, string>) => {
  const result = ask(parameters);
  if ('refused' in result) throw new Error(result.refused.message);
  return Object.fromEntries(result.settings.map(({ name, value }) => [name, value]));
};

describe('start-up parameters', () => {
  it("makes settings of those on the list, under PostgreSQL's own names", () => {
    expect(
      settings({ application_name: 'psql', datestyle: 'ISO, MDY', TIMEZONE: 'UTC', extra_float_digits: '2' }),
    ).toEqual({
      application_name: 'psql',
      DateStyle: 'ISO, MDY',
      TimeZone: 'UTC',
      extra_float_digits: '2',
    });
  });

  it.each(['UTF8', 'utf-8', "'utf-8'", 'auto', 'Utf8'])('takes the client encoding %s for UTF8', (client_encoding) => {
    expect(settings({ client_encoding })).toEqual({ client_encoding: 'UTF8' });
  });

  it.each(['SQL_ASCII', 'LATIN1', '', 'UTF16', "UTF8'; drop table t"])(
    'refuses the client encoding %j and names UTF8',
    (client_encoding) => {
      expect(ask({ client_encoding })).toMatchObject({
        refused: { refused: 'unsupported', hint: expect.stringContaining('UTF8') },
      });
    },
  );

  it('refuses replication by name', () => {
    for (const replication of ['true', 'database', 'off']) {
      expect(ask({ replication })).toMatchObject({ refused: { refused: 'unsupported', message: /Replication/ } });
    }
  });

  it.each([
    'session_authorization',
    'role',
    'default_transaction_read_only',
    'session_replication_role',
    'work_mem',
    'cs.evil',
  ])('refuses %s, and names it and what is allowed', (name) => {
    const expected = {
      refused: { message: expect.stringContaining(name), hint: expect.stringContaining('search_path') },
    };
    expect(ask({ [name]: 'x' })).toMatchObject(expected);
    expect(ask({ options: `-c ${name}=x` })).toMatchObject(expected);
    expect(ask({ options: `--${name}=x` })).toMatchObject(expected);
  });

  it('does not let standard_conforming_strings be turned off', () => {
    expect(settings({ standard_conforming_strings: 'on' })).toEqual({ standard_conforming_strings: 'on' });
    for (const options of ['-c standard_conforming_strings=off', '--standard-conforming-strings=0']) {
      expect(ask({ options })).toMatchObject({ refused: { refused: 'unsupported' } });
    }
  });

  it('reads options as PostgreSQL does', () => {
    expect(
      settings({
        options: '-c search_path=a,b  --statement-timeout=5s -clock_timeout=1s -c application_name=a\\ b\\\\c',
      }),
    ).toEqual({
      search_path: 'a,b',
      statement_timeout: '5s',
      lock_timeout: '1s',
      application_name: 'a b\\c',
    });
    expect(settings({ options: '' })).toEqual({});
    expect(settings({ options: '-c search_path=' })).toEqual({ search_path: '' });
  });

  it('lets what is named itself go before what is in options, wherever it stands', () => {
    expect(settings({ search_path: 'direct', options: '-c search_path=optional' })).toEqual({ search_path: 'direct' });
    expect(settings({ options: '-c search_path=optional', search_path: 'direct' })).toEqual({ search_path: 'direct' });
  });

  it.each([
    '-c',
    '-c search_path',
    '-d',
    '-D /tmp',
    '--',
    'search_path=a',
    '-c =x',
    'x',
    '-c search_path=a\\',
    '-B 100',
  ])('refuses the options %j', (options) => {
    expect(ask({ options })).toMatchObject({ refused: { refused: 'unsupported' } });
  });

  it('only ever gives settings of the list, whatever it is asked', () => {
    const name = fc.oneof(
      fc.string(),
      fc.constantFrom('options', 'TimeZone', 'timezone', 'replication', 'role', '__proto__'),
    );
    fc.assert(
      fc.property(fc.array(fc.tuple(name, fc.string())), (parameters) => {
        const result = startupSettings(new Map(parameters));
        if ('refused' in result) return;
        const names = result.settings.map((setting) => setting.name);
        expect(new Set(names).size).toBe(names.length);
        for (const each of names) expect(each).not.toMatch(/replication|role|proto/);
      }),
    );
  });
});

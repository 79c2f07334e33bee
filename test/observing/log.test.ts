import { describe, expect, it } from 'vitest';
import { EngineFailure } from '../../src/engines/session.ts';
import { createLog } from '../../src/observing/log.ts';

function logged(fields: object): string {
  const lines: string[] = [];
  createLog('info', (line) => lines.push(line)).error(fields, 'it failed');
  return lines.join('');
}

describe('what errors bring into the log', () => {
  it('keeps the database’s words for itself where they may quote a row', () => {
    const failure = { severity: 'ERROR', sqlstate: '23505', message: 'Key (email)=(marker) exists', detail: 'marker' };
    const fromDriver = Object.assign(new Error('duplicate key: marker'), {
      severity: 'ERROR',
      code: '23505',
      detail: 'marker',
    });
    for (const err of [new EngineFailure(failure), fromDriver, new Error('outer', { cause: fromDriver })]) {
      expect(logged({ err })).toContain('23505');
      expect(logged({ err })).not.toContain('marker');
    }
  });

  it('tells why a connection failed, and where in the program', () => {
    const err = Object.assign(new Error('password authentication failed'), { severity: 'FATAL', code: '28P01' });
    expect(logged({ err })).toContain('password authentication failed');
    expect(logged({ err })).toContain('log.test.ts');
  });

  it('takes out what nobody should have logged', () => {
    expect(logged({ password: 'marker', login: { token: 'marker' } })).not.toContain('marker');
  });
});

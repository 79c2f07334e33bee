import { describe, expect, it } from 'vitest';
import { createCancelKeys } from '../../../src/channels/pgwire/cancel-keys.ts';

describe('cancel keys', () => {
  it('are as long as the protocol lets them be', () => {
    const keys = createCancelKeys();
    expect(keys.issue('3.0').secret.length).toBe(4);
    expect(keys.issue('3.2').secret.length).toBe(32);
  });

  it('match only the session they were issued to, while it lasts', () => {
    const keys = createCancelKeys();
    const one = keys.issue('3.0');
    const other = keys.issue('3.0');
    expect(keys.matches(one.processId, one.secret)).toBe(true);
    expect(keys.matches(one.processId, other.secret)).toBe(false);
    expect(keys.matches(other.processId, one.secret)).toBe(false);
    expect(keys.matches(one.processId, Buffer.alloc(0))).toBe(false);
    expect(keys.matches(one.processId, Buffer.concat([one.secret, Buffer.alloc(28)]))).toBe(false);
    keys.revoke(one.processId);
    expect(keys.matches(one.processId, one.secret)).toBe(false);
    expect(keys.matches(other.processId, other.secret)).toBe(true);
  });

  it('have process ids that are positive, apart and not to be foreseen', () => {
    const keys = createCancelKeys();
    const ids = Array.from({ length: 1000 }, () => keys.issue('3.0').processId);
    expect(new Set(ids).size).toBe(1000);
    for (const id of ids) {
      expect(id).toBeGreaterThan(0);
      expect(id).toBeLessThan(2 ** 31);
    }
  });
});

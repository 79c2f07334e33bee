import { describe, expect, it } from 'vitest';
import { createSecretGuard } from '../../src/domain/secrets.ts';

/** Put together here, so that no scanner takes them for real ones. */
const join = (...parts: readonly string[]) => parts.join('');

describe('secrets in results', () => {
  it.each([
    ['private key', join('-----BEGIN RSA PRIVATE ', 'KEY-----\nMIIEow\n-----END RSA PRIVATE ', 'KEY-----')],
    ['private key', join('-----BEGIN PRIVATE ', 'KEY-----\nMIIEow…')],
    ['AWS access key', join('AKIA', 'IOSFODNN7EXAMPLE')],
    ['GitHub token', join('ghp', '_', 'a'.repeat(36))],
    ['Slack token', join('xoxb', '-1234567890-abcdef')],
    ['Stripe key', join('sk', '_live_', 'a1'.repeat(12))],
    ['Google API key', join('AIza', 'b'.repeat(35))],
    ['Countersign token', join('cst', '_', 'c'.repeat(43))],
    ['JSON web token', join('eyJhbGciOiJIUzI1', '.eyJzdWIiOiIxMjM0', '.SflKxwRJSMeKKF2QT4')],
    ['connection string with a password', 'postgres://app:hunter2@db.internal:5432/shop'],
  ])('finds a %s, and takes out nothing else', (kind, secret) => {
    const guard = createSecretGuard('redact');
    expect(guard.guard(`before ${secret} after`)).toMatch(new RegExp(`^before \\[${kind}, taken out\\]`));
    expect(guard.found).toEqual([{ kind, count: 1 }]);
  });

  it('leaves what people write', () => {
    const guard = createSecretGuard('redact');
    for (const text of [
      'https://example.com/path?x=1@2',
      'ada@example.com',
      'AKIA is a prefix',
      'postgres://db.internal/shop',
      'sk-learn and skip-lists',
      '2026-11-21 10:00:00+00',
      'deadbeef'.repeat(8),
      null,
    ])
      expect(guard.guard(text)).toBe(text);
    expect(guard.found).toEqual([]);
  });

  it('may only be told', () => {
    const guard = createSecretGuard('report');
    expect(guard.guard('redis://:x@h redis://u:p@h')).toBe('redis://:x@h redis://u:p@h');
    expect(guard.found).toEqual([{ kind: 'connection string with a password', count: 1 }]);
  });
});

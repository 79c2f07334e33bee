import { createHash, createHmac, pbkdf2Sync } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { canonicalJson, digestOf, digestOfBytes, isDigest, type Json } from '../../src/domain/digest.ts';
import { rowsChanged, VERBS } from '../../src/domain/effect.ts';
import { ENTRY_KINDS } from '../../src/domain/entry.ts';
import { instantOf } from '../../src/domain/ids.ts';
import { maskOf, maskRule } from '../../src/domain/masking.ts';
import { objectName } from '../../src/domain/object.ts';
import { shortId } from '../../src/domain/plan.ts';
import { failureOf, RefusalError, SQLSTATES } from '../../src/domain/refusal.ts';
import { columnsWithin, coversPattern, isScopePattern, matchesPattern } from '../../src/domain/scope.ts';
import { makeScramVerifier, SCRAM_ITERATIONS, scramPassword } from '../../src/domain/scram.ts';

describe('the canonical form', () => {
  it('is that of RFC 8785', () => {
    // The example of RFC 8785 §3.2.2 and §3.2.3, and the order of its §3.2.3.
    const example = {
      numbers: [Number('333333333.33333329'), 1e30, 4.5, 2e-3, 0.000000000000000000000000001],
      string: '\u20ac$\u000F\u000aA\'\u0042\u0022\u005c\\"/',
      literals: [null, true, false],
    };
    expect(canonicalJson(example)).toBe(
      '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}',
    );
    const keys = {
      '\u20ac': 'Euro',
      '\r': 'CR',
      '\ufb33': 'Dalet',
      '1': 'One',
      '\ud83d\ude00': 'Smile',
      '\u0080': 'Control',
      '\u00f6': 'o',
    };
    expect(Object.keys(JSON.parse(canonicalJson(keys)))).toHaveLength(7);
    expect([...canonicalJson(keys).matchAll(/:"(\w+)"/g)].map(([, name]) => name)).toEqual([
      'CR',
      'One',
      'Control',
      'o',
      'Euro',
      'Smile',
      'Dalet',
    ]);
  });

  it('is one for values that are equal, in whatever order they were made', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const text = canonicalJson(value as Json);
        expect(canonicalJson(JSON.parse(text))).toBe(text);
        expect(canonicalJson(turned(value) as Json)).toBe(text);
        expect(digestOf(turned(value) as Json)).toBe(digestOf(value as Json));
      }),
      { numRuns: 300 },
    );
  });

  it('is another for values that differ', () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.jsonValue(), (one, other) => {
        const same = canonicalJson(one as Json) === canonicalJson(other as Json);
        expect(same).toBe(JSON.stringify(sorted(one)) === JSON.stringify(sorted(other)));
      }),
      { numRuns: 300 },
    );
  });

  it('leaves out what is undefined, and refuses what has none', () => {
    expect(canonicalJson({ a: 1, b: undefined })).toBe('{"a":1}');
    expect(canonicalJson(-0)).toBe('0');
    for (const value of [Number.NaN, Number.POSITIVE_INFINITY, undefined])
      expect(() => canonicalJson(value as Json), String(value)).toThrow();
    for (const value of ['\ud800', { a: ['x\udc00'] }, { '\ud800': 1 }])
      expect(() => canonicalJson(value), JSON.stringify(value)).toThrow();
  });
});

/** The same value with the keys of every object in the other order. */
function turned(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(turned);
  if (typeof value !== 'object' || value === null) return value;
  return withKeys(Object.entries(value).reverse(), turned);
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  return withKeys(
    Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)),
    sorted,
  );
}

function withKeys(entries: readonly (readonly [string, unknown])[], change: (value: unknown) => unknown): object {
  const made = {};
  for (const [key, value] of entries)
    Object.defineProperty(made, key, { value: change(value), enumerable: true, configurable: true, writable: true });
  return made;
}

describe('digests', () => {
  it('are SHA-256 in hexadecimal digits, and known as such', () => {
    const digest = digestOfBytes(Buffer.from('abc'));
    expect(digest).toBe('sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad');
    expect(isDigest(digest)).toBe(true);
    for (const text of [
      '',
      digest.slice(1),
      digest.slice(0, -1),
      `${digest}0`,
      digest.toUpperCase(),
      `${digest}\n`,
      digest.replace('sha256', 'sha512'),
    ])
      expect(isDigest(text), text).toBe(false);
    expect(shortId(digest)).toBe('ba7816bf8f01');
  });
});

describe('patterns', () => {
  it.each([
    ['public.customers', true],
    ['customers', true],
    ['public.*', true],
    ['*.customers', true],
    ['*.*', true],
    ['*', true],
    ['public.custom*', false],
    ['pub*.customers', false],
    ['public.customer', false],
    ['Public.customers', false],
    ['other.*', false],
    ['public.', false],
    ['.customers', false],
    ['', false],
    ['public.customers.id', false],
    ['public.%', false],
    ['public.?ustomers', false],
    ['public..*', false],
  ])('%s matches public.customers: %s', (pattern, matches) => {
    expect(matchesPattern({ schema: 'public', name: 'customers' }, pattern)).toBe(matches);
  });

  it('take a name for nothing but a name', () => {
    expect(matchesPattern({ schema: 'public', name: '*' }, 'public.customers')).toBe(false);
    expect(matchesPattern({ schema: 'a.b', name: 'c' }, 'a.b.c')).toBe(false);
    expect(matchesPattern({ schema: 'shop', name: 'a.b' }, 'shop.a.b')).toBe(true);
    expect(matchesPattern({ schema: 'shop', name: 'customers' }, '*')).toBe(false);
  });

  it('cover what they say: whatever the narrow one matches, the wide one does', () => {
    const part = fc.constantFrom('*', 'public', 'shop', 'a', 'b');
    const pattern = fc.oneof(
      part,
      fc.tuple(part, part).map((parts) => parts.join('.')),
    );
    const name = fc.constantFrom('public', 'shop', 'a', 'b', 'c');
    fc.assert(
      fc.property(pattern, pattern, name, name, (wide, narrow, schema, object) => {
        if (coversPattern(wide, narrow) && matchesPattern({ schema, name: object }, narrow))
          expect(matchesPattern({ schema, name: object }, wide)).toBe(true);
      }),
      { numRuns: 1000 },
    );
    expect(coversPattern('public.*', 'public.a')).toBe(true);
    expect(coversPattern('public.a', 'public.*')).toBe(false);
    expect(coversPattern('*.a', 'public.a')).toBe(true);
    expect(coversPattern('public.*', '*.*')).toBe(false);
    expect(coversPattern('a', 'public.a')).toBe(true);
  });

  it('may be some columns of one table', () => {
    const orders = { schema: 'public', name: 'orders' };
    expect(coversPattern('public.*', 'orders(id)')).toBe(true);
    expect(coversPattern('public.orders(id, status)', 'orders(status)')).toBe(true);
    expect(coversPattern('public.orders(id)', 'orders(id, status)')).toBe(false);
    expect(coversPattern('public.orders(id)', 'public.orders')).toBe(false);
    expect(columnsWithin(orders, ['orders(id)', 'public.orders( status ,note )'])).toEqual(
      new Set(['id', 'status', 'note']),
    );
    expect(columnsWithin(orders, ['orders(id)', 'public.*'])).toBe('all');
    expect(columnsWithin(orders, ['public.customers'])).toEqual(new Set());
    expect(['a.b(c, d)', 'a b', '*.*', 'a.*(b)', 'a.b()', 'a.b(c', 'a.b(c,)', ' a'].map(isScopePattern)).toEqual([
      ...[true, true, true, false, false, false, false, false],
    ]);
  });

  it('and names are written as people write them', () => {
    expect(objectName({ kind: 'table', schema: 'public', name: 'a' })).toBe('public.a');
    expect(objectName({ kind: 'role', schema: '', name: 'a' })).toBe('a');
  });
});

describe('masks', () => {
  it('are those of the rule that names the most, and of two the stricter', () => {
    const rules = [
      maskRule('*.*.email', 'email'),
      maskRule('public.*.email', 'last4'),
      maskRule('*.customers.email', 'fixed'),
      maskRule('public.companies.email', 'none'),
    ];
    expect(maskOf(rules, 'shop', 'people', 'email')).toBe('email');
    expect(maskOf(rules, 'public', 'people', 'email')).toBe('last4');
    expect(maskOf(rules, 'public', 'customers', 'email')).toBe('fixed');
    expect(maskOf(rules, 'public', 'companies', 'email')).toBe(null);
    expect(maskOf(rules, 'public', 'customers', 'name')).toBe(null);
  });
});

describe('instants', () => {
  it('are written so that they sort as time does', () => {
    fc.assert(
      fc.property(fc.nat({ max: 4e12 }), fc.nat({ max: 4e12 }), (one, other) => {
        expect(instantOf(one) < instantOf(other)).toBe(one < other);
        expect(Date.parse(instantOf(one))).toBe(one);
      }),
    );
    expect(() => instantOf(Number.NaN)).toThrow();
  });
});

describe('SCRAM', () => {
  it('has the verifier of RFC 7677 §3', () => {
    const salt = Buffer.from('W22ZaJ0SNY7soEsUEjb6gQ==', 'base64');
    const { storedKey, serverKey, iterations } = makeScramVerifier('pencil', salt);
    expect(iterations).toBe(4096);
    // The exchange that the RFC prints: the proof must open to the stored key, and the signature must be the printed one.
    const first = 'n=user,r=rOprNGfwEbeRWgbNEkqO';
    const server = 'r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096';
    const message = `${first},${server},c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0`;
    const proof = Buffer.from('dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=', 'base64');
    const signature = createHmac('sha256', storedKey).update(message).digest();
    const clientKey = Buffer.from(proof.map((byte, at) => byte ^ (signature[at] ?? 0)));
    expect(createHash('sha256').update(clientKey).digest()).toEqual(Buffer.from(storedKey));
    expect(createHmac('sha256', serverKey).update(message).digest('base64')).toBe(
      '6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=',
    );
  });

  it('has another salt each time, and refuses what would need preparing', () => {
    expect(Buffer.from(makeScramVerifier('a').salt)).not.toEqual(Buffer.from(makeScramVerifier('a').salt));
    for (const secret of ['', 'a b', 'ü', 'a\n', 'a\0'])
      expect(() => makeScramVerifier(secret), secret).toThrow(/ASCII/);
  });

  it('is written as PostgreSQL keeps it', () => {
    const match = /^SCRAM-SHA-256\$4096:([^$]+)\$([^:]+):(.+)$/.exec(scramPassword('pencil'));
    const [salt, stored] = [Buffer.from(match?.[1] ?? '', 'base64'), match?.[2]];
    const salted = pbkdf2Sync('pencil', salt, SCRAM_ITERATIONS, 32, 'sha256');
    const clientKey = createHmac('sha256', salted).update('Client Key').digest();
    expect(stored).toBe(createHash('sha256').update(clientKey).digest('base64'));
  });
});

describe('refusals', () => {
  it('have a code of their own each, in class CS', () => {
    const codes = Object.values(SQLSTATES);
    expect(new Set(codes).size).toBe(codes.length);
    for (const code of codes) expect(code).toMatch(/^CS00\d$/);
    // Scripts rely on them: one that changes breaks somebody.
    expect(SQLSTATES).toEqual({
      held: 'CS001',
      denied: 'CS002',
      stale: 'CS003',
      halted: 'CS004',
      overLimit: 'CS005',
      identityMismatch: 'CS006',
      unavailable: 'CS007',
      unsupported: 'CS008',
    });
  });

  it('become errors of the database with the fact and the next step', () => {
    const refusal = { refused: 'held', message: 'It waits.', hint: 'Ask Ada.', detail: '3 rows' } as const;
    expect(failureOf(refusal)).toEqual({
      severity: 'ERROR',
      sqlstate: 'CS001',
      message: 'It waits.',
      detail: '3 rows',
      hint: 'Ask Ada.',
    });
    expect(failureOf({ refused: 'held', message: 'It waits.', hint: 'Ask Ada.' })).not.toHaveProperty('detail');
    const cause = new Error('why');
    expect(new RefusalError(refusal, { cause })).toMatchObject({ message: 'It waits.', refusal, cause });
  });
});

describe('effects', () => {
  it('count every row, whatever happened to it and in which way', () => {
    const table = { table: 'a.b', inserted: 1, updated: 20, deleted: 300, truncated: 4000, via: 'direct' } as const;
    expect(rowsChanged([])).toBe(0);
    expect(rowsChanged([table])).toBe(4321);
    expect(rowsChanged([table, { ...table, via: 'cascade' }, { ...table, via: 'trigger' }])).toBe(3 * 4321);
  });

  it('and entries have words of their own each', () => {
    for (const words of [VERBS, ENTRY_KINDS]) expect(new Set<string>(words).size).toBe(words.length);
  });
});

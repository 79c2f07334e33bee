import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { NOTHING_MASKED } from '../../src/domain/masking.ts';
import type { Catalogue, Relation } from '../../src/engines/catalogue.ts';
import { describeObject, searchObjects } from '../../src/pipeline/browse.ts';
import { searchParts } from '../../src/pipeline/browse-parts.ts';

function relation(schema: string, name: string, rest: Partial<Relation> = {}): Relation {
  return {
    oid: 1,
    schema,
    name,
    kind: 'table',
    system: false,
    owner: 'owner',
    columns: [],
    estimatedRows: -1,
    comment: null,
    primaryKey: [],
    rowSecurity: false,
    definition: null,
    securityInvoker: false,
    securityExpressions: [],
    securityOfAll: [],
    planned: [],
    triggers: [],
    rules: [],
    referencedBy: [],
    references: [],
    children: [],
    parent: null,
    indexes: [],
    ...rest,
  };
}

function catalogueOf(relations: readonly Relation[]): Catalogue {
  return {
    version: '1',
    serverVersion: 180_000,
    masking: NOTHING_MASKED,
    searchPath: ['public'],
    schemas: ['public'],
    relations: new Map(relations.map((each) => [`${each.schema}.${each.name}`, each])),
    functions: new Map(),
    userOperators: new Map(),
    userTypes: new Map(),
    hiddenCode: [],
    extensions: [],
    schemaViews: new Map(),
  };
}

const rental = catalogueOf([
  relation('public', 'customers'),
  relation('public', 'customers_id_seq', { kind: 'sequence' }),
  relation('public', 'customers_pkey', { kind: 'index' }),
  relation('public', 'Reservations'),
  relation('billing', 'customers'),
  relation('public', 'active', { kind: 'view', definition: 'SELECT 1' }),
  relation('pg_catalog', 'pg_class', { system: true }),
]);
const names = (query: Parameters<typeof searchObjects>[1]) =>
  searchObjects(rental, query).objects.map(({ name }) => name);

describe('searching objects', () => {
  it('finds relations by any part of their name, ignoring case; indexes and the system’s own are none', () => {
    expect(names({ limit: 10 })).toEqual([
      'billing.customers',
      'public.Reservations',
      'public.active',
      'public.customers',
      'public.customers_id_seq',
    ]);
    expect(names({ limit: 10, pattern: 'RESERV' })).toEqual(['public.Reservations']);
    expect(names({ limit: 10, pattern: 'pg_class' })).toEqual([]);
    expect(names({ limit: 10, kind: 'view' })).toEqual(['public.active']);
  });

  it('takes * and ? against the whole name or the part after the schema', () => {
    expect(names({ limit: 10, pattern: 'customers' })).toHaveLength(3);
    expect(names({ limit: 10, pattern: 'customer?' })).toEqual(['billing.customers', 'public.customers']);
    expect(names({ limit: 10, pattern: 'billing.*' })).toEqual(['billing.customers']);
    expect(names({ limit: 10, pattern: '*.c*s' })).toEqual(['billing.customers', 'public.customers']);
  });

  it('returns each object on exactly one page, whatever the size of a page', () => {
    const unique = fc.uniqueArray(fc.string({ minLength: 1, maxLength: 4 }), { maxLength: 30 });
    fc.assert(
      fc.property(unique, fc.integer({ min: 1, max: 7 }), (all, limit) => {
        const catalogue = catalogueOf(all.map((name) => relation('s', name)));
        const seen: string[] = [];
        for (let after: string | undefined; ; ) {
          const page = searchObjects(catalogue, { limit, ...(after === undefined ? {} : { after }) });
          expect(page.matching).toBe(all.length);
          seen.push(...page.objects.map(({ name }) => name));
          after = page.next;
          if (after === undefined) break;
        }
        expect(seen).toEqual(all.map((name) => `s.${name}`).sort((a, b) => (a < b ? -1 : 1)));
      }),
    );
  });

  it('answers a pattern of many stars at once', () => {
    const long = catalogueOf([relation('s', 'a'.repeat(63))]);
    const started = performance.now();
    expect(searchObjects(long, { limit: 1, pattern: `${'*a'.repeat(99)}b` }).objects).toEqual([]);
    expect(performance.now() - started).toBeLessThan(100);
  });
});

describe('describing an object', () => {
  it('finds it by its whole name, and by its own along the search path', () => {
    expect(describeObject(rental, 'billing.customers')).toMatchObject({
      found: true,
      object: { name: 'billing.customers' },
    });
    expect(describeObject(rental, 'customers')).toMatchObject({
      found: true,
      object: { name: 'public.customers', estimatedRows: 0 },
    });
  });

  it('names what looks like it when there is none', () => {
    expect(describeObject(rental, 'public.customer')).toEqual({
      found: false,
      similar: ['billing.customers', 'public.customers', 'public.customers_id_seq'],
    });
    expect(describeObject(rental, 'pg_catalog.pg_class')).toMatchObject({ found: false });
  });
});

describe('searching parts', () => {
  const column = { name: 'email', type: 'text', nullable: false, default: null, generated: false, comment: 'personal' };
  const routine = {
    schema: 'public',
    name: 'late',
    signature: 'public.late()',
    runs: [],
    definition: null,
    kind: 'function',
    volatility: 'stable',
    language: 'sql',
    securityDefiner: true,
    builtIn: false,
    extension: null,
    argumentTypes: [],
    returnType: 'boolean',
    onlyArgumentComposite: null,
  } as const;
  const catalogue: Catalogue = {
    ...catalogueOf([
      relation('public', 'customers', {
        columns: [column],
        indexes: [{ name: 'customers_email', definition: 'CREATE INDEX …' }],
      }),
      relation('pg_catalog', 'pg_class', { system: true, columns: [column] }),
    ]),
    functions: new Map([
      ['late', [routine, routine]],
      ['now', [{ ...routine, schema: 'pg_catalog', name: 'now', builtIn: true }]],
      ['tidy', [{ ...routine, name: 'tidy', kind: 'procedure' }]],
    ]),
  };
  const all = { limit: 10 };

  it('tells columns, indexes, schemas, functions and procedures, and nothing of the system’s', () => {
    expect(searchParts(catalogue, 'column', all).objects).toEqual([
      {
        name: 'public.customers.email',
        kind: 'column',
        of: 'public.customers',
        detail: 'text not null',
        comment: 'personal',
      },
    ]);
    expect(searchParts(catalogue, 'index', all).objects).toMatchObject([
      { name: 'public.customers_email', of: 'public.customers', detail: 'CREATE INDEX …' },
    ]);
    expect(searchParts(catalogue, 'schema', all).objects).toMatchObject([{ name: 'public' }]);
    expect(searchParts(catalogue, 'function', all).objects).toMatchObject([
      { name: 'public.late', detail: 'returns boolean, sql, stable, security definer' },
    ]);
    expect(searchParts(catalogue, 'procedure', all).objects).toMatchObject([{ name: 'public.tidy' }]);
    expect(searchParts(catalogue, 'column', { limit: 10, pattern: 'phone' })).toEqual({ objects: [], matching: 0 });
  });
});

import { describe, expect, it } from 'vitest';
import { affectedTables, baseObjects } from '../../src/analysis/affected-objects.ts';
import { attributeEffects, rootOf } from '../../src/analysis/attribute-effects.ts';
import type { Analysis, Effect } from '../../src/domain/effect.ts';
import type { Catalogue, Relation, Trigger } from '../../src/engines/catalogue.ts';

function relation(name: string, more: Partial<Relation> = {}): readonly [string, Relation] {
  const made = {
    schema: 'public',
    name,
    kind: 'table',
    system: false,
    triggers: [],
    children: [],
    parent: null,
    ...more,
  };
  return [`${made.schema}.${name}`, made as unknown as Relation];
}

const audit = (source: string, enabled = true) => ({ source, enabled }) as unknown as Trigger;
const relations = new Map([
  relation('orders', { triggers: [audit('INSERT INTO audit_log VALUES (1)')] }),
  relation('quiet', { triggers: [audit('INSERT INTO audit_log VALUES (1)', false)] }),
  relation('audit_log'),
  relation('items'),
  relation('events', { kind: 'partitioned table' }),
  relation('events_2026', { kind: 'partitioned table', parent: 'public.events' }),
  relation('events_2026_01', { parent: 'public.events_2026' }),
  relation('child', { parent: 'public.items' }),
  relation('a', { kind: 'partitioned table', parent: 'public.b' }),
  relation('b', { kind: 'partitioned table', parent: 'public.a' }),
  relation('pg_class', { schema: 'pg_catalog', system: true }),
]);
const catalogue = { relations } as unknown as Catalogue;

function effect(verb: Effect['verb'], name: string, via: Effect['via'] = 'direct', schema = 'public'): Effect {
  return { verb, object: { kind: 'table', schema, name }, via };
}

const analysis = (...effects: Effect[]) => ({ effects }) as unknown as Analysis;
const counts = (table: string, more = {}) => ({ table, inserted: 0, updated: 0, deleted: 0, ...more });

describe('rows that the server counted', () => {
  it('are said to come from the statement, from a key, or from a trigger', () => {
    const effects = [effect('delete', 'orders'), effect('delete', 'items', 'cascade'), effect('read', 'audit_log')];
    const found = attributeEffects(
      [
        counts('public.orders', { deleted: 2 }),
        counts('public.items', { deleted: 5 }),
        counts('public.audit_log', { inserted: 7 }),
      ],
      effects,
      catalogue,
    );
    expect(found.map(({ table, via }) => [table, via])).toEqual([
      ['public.audit_log', 'trigger'],
      ['public.items', 'cascade'],
      ['public.orders', 'direct'],
    ]);
  });

  it('of partitions are added up under the table that people know', () => {
    const found = attributeEffects(
      [
        counts('public.events_2026_01', { deleted: 2, updated: 1 }),
        counts('public.events_2026', { deleted: 3, truncated: 4 }),
      ],
      [effect('delete', 'events')],
      catalogue,
    );
    expect(found).toEqual([
      { table: 'public.events', inserted: 0, updated: 1, deleted: 5, truncated: 4, via: 'direct' },
    ]);
  });

  it('keep their own name where a table only inherits, or nobody knows it, or parents go in a circle', () => {
    expect(rootOf('public.child', catalogue)).toBe('public.child');
    expect(rootOf('public.nobody', catalogue)).toBe('public.nobody');
    expect(['public.a', 'public.b']).toContain(rootOf('public.a', catalogue));
  });
});

describe('where a dry run begins to look', () => {
  it('is what changes, by its root, and what its triggers speak of', () => {
    expect(affectedTables(analysis(effect('update', 'orders'), effect('read', 'items')), catalogue)).toEqual([
      'public.orders',
      'public.audit_log',
    ]);
    expect(affectedTables(analysis(effect('delete', 'events_2026_01')), catalogue)).toEqual(['public.events']);
    expect(affectedTables(analysis(effect('update', 'quiet')), catalogue)).toEqual(['public.quiet']);
  });

  it('is no table that is only read or locked, of the server, or unknown', () => {
    const harmless = [effect('read', 'orders'), effect('lock', 'orders'), effect('update', 'nobody')];
    expect(
      affectedTables(analysis(...harmless, effect('update', 'pg_class', 'direct', 'pg_catalog')), catalogue),
    ).toEqual([]);
  });

  it('rests on everything that is named, once', () => {
    const role = { verb: 'privilege', object: { kind: 'role', schema: '', name: 'x' }, via: 'direct' } as const;
    expect(baseObjects(analysis(effect('read', 'orders'), effect('update', 'orders'), role))).toEqual([
      'public.orders',
      'x',
    ]);
  });
});

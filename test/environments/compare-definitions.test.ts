import { describe, expect, it } from 'vitest';
import type { Definitions } from '../../src/domain/drift.ts';
import { visible } from '../../src/domain/visible.ts';
import { grantsOf } from '../../src/engines/postgres/grants-of.ts';
import { deviations, followed, followedAsFound } from '../../src/environments/compare-definitions.ts';
import { describeDeviations } from '../../src/environments/describe-drift.ts';

const schema = (objects: Readonly<Record<string, object>>, major = 18): Definitions => ({
  objects: new Map(Object.entries(objects).map(([name, aspects]) => [name, JSON.stringify(aspects)])),
  major,
});
const text = (value: object) => JSON.stringify(value);

describe('two schemas', () => {
  it('differ object by object and aspect by aspect, and in nothing but that', () => {
    const should = schema({
      'table a': { owner: 'app' },
      'column a.x': { type: 'text' },
      'view v': { query: 'SELECT 1' },
    });
    const is = schema({ 'table a': { owner: 'eve' }, 'column a.x': { type: 'text' }, 'role eve': { login: true } });
    expect(deviations(should, is)).toEqual([
      { object: 'role eve', change: 'added', aspects: [{ aspect: 'login', before: null, after: 'yes' }] },
      { object: 'table a', change: 'changed', aspects: [{ aspect: 'owner', before: 'app', after: 'eve' }] },
      { object: 'view v', change: 'removed', aspects: [{ aspect: 'query', before: 'SELECT 1', after: null }] },
    ]);
    expect(deviations(is, is)).toEqual([]);
  });

  it('of servers of two versions don’t differ in what only the newer one writes down', () => {
    const old = schema({ 'table a': { grants: ['r: INSERT, SELECT'] } }, 15);
    const now = schema({
      'table a': { grants: ['r: INSERT, MAINTAIN, SELECT'] },
      'constraint a.a_id_not_null': { definition: 'NOT NULL id' },
    });
    expect(deviations(old, now)).toEqual([]);
    expect(deviations({ ...old, major: 18 }, now)).toHaveLength(2);
  });

  it('are told so that nothing in a name or a body moves the cursor', () => {
    const evil = schema({ 'function f()': { definition: 'a\n\u001b[2Jb\n' }, 'table \u202eevil': {} });
    const told = describeDeviations(deviations(schema({}), evil));
    expect(told).toContain('+ table \\u202eevil');
    expect(told.map(visible)).toEqual(told);
  });
});

describe('a baseline', () => {
  const base = schema({ 'table a': { owner: 'app' } });

  it('follows what a plan made of it, and not what had drifted before', () => {
    const altered = { object: 'table a', before: text({ owner: 'app' }), after: text({ owner: 'team' }) };
    expect(followed(base, [[altered]]).objects.get('table a')).toBe(text({ owner: 'team' }));
    const drifted = { ...altered, before: text({ owner: 'eve' }) };
    expect(followed(base, [[drifted]]).objects.get('table a')).toBe(text({ owner: 'app' }));
    expect(followed(base, [[{ ...drifted, after: null }]]).objects.has('table a')).toBe(false);
  });

  it('takes a plan whose end nobody knows for what is found', () => {
    const made = { object: 'table b', before: null, after: text({ owner: 'app' }) };
    const there = schema({ 'table a': { owner: 'app' }, 'table b': { owner: 'app' } });
    expect(deviations(followedAsFound(base, [[made]], there), there)).toEqual([]);
    expect(deviations(followedAsFound(base, [[made]], base), base)).toEqual([]);
  });
});

describe('grants', () => {
  it('are the same whether they were never given or given in so many words', () => {
    expect(grantsOf('table', 'app', null)).toEqual([]);
    expect(grantsOf('table', 'app', '{app=arwdDxt/app}')).toEqual([]);
    expect(grantsOf('table', 'app', '{app=arwdDxtm/app}')).toEqual([]);
    expect(grantsOf('function', 'app', null)).toEqual(grantsOf('function', 'app', '{=X/app,app=X/app}'));
  });

  it('say what was taken away from an owner or from everybody', () => {
    expect(grantsOf('table', 'app', '{app=r/app}')).toEqual(['app: SELECT']);
    expect(grantsOf('table', 'app', '{}')).toEqual(['app: nothing']);
    expect(grantsOf('function', 'app', '{app=X/app}')).toEqual([]);
  });

  it('are read with every name that PostgreSQL quotes, and without logins of tasks', () => {
    const acl = '{app=arwdDxt/app,"\\"a,=b \\"\\"c\\"=r*/app",cs_0123456789abcdef_r=r/app,=r/app}';
    expect(grantsOf('table', 'app', acl)).toEqual(['PUBLIC: SELECT', 'a,=b "c: SELECT (may grant it on)']);
  });
});

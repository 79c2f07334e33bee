import type { SessionAct } from '../domain/effect.ts';
import type { ObjectRef } from '../domain/object.ts';
import type { Catalogue } from '../engines/catalogue.ts';
import { names, type Tree } from './parse.ts';
import { constantOf } from './settings.ts';

export type AdvisoryAct = Extract<SessionAct, { act: 'advisory lock' }>;

const TAKES = /^pg_(?:try_)?advisory_lock(?:_shared)?$/;
const RELEASES = /^pg_advisory_unlock(?:_shared)?$/;
const RELEASES_ALL = 'pg_advisory_unlock_all';

/**
 * `SELECT pg_advisory_lock(42)` by itself, and its kin: migration tools keep each other out so. Nobody can tell what waits
 * for such a lock, so a task must name it; under any other form it stays a function whose effect isn't known.
 *
 * @returns undefined for any other query.
 */
export function advisoryAct(select: Tree, { functions }: Pick<Catalogue, 'functions'>): AdvisoryAct | undefined {
  if (!Object.keys(select).every((key) => ['targetList', 'limitOption', 'op'].includes(key))) return undefined;
  const [only, ...more] = (select['targetList'] as Tree[] | undefined) ?? [];
  const target = only?.['ResTarget'] as Tree | undefined;
  const call = (target?.['val'] as Tree | undefined)?.['FuncCall'] as Tree | undefined;
  const name = names(call?.['funcname']);
  const bare = name.at(-1);
  if (call === undefined || bare === undefined || more.length > 0) return undefined;
  if (name.length > 1 && name.join('.') !== `pg_catalog.${bare}`) return undefined;
  // A user's function of the name may stand before the server's.
  if (!(functions.get(bare) ?? []).every((routine) => routine.builtIn)) return undefined;
  const keys = ((call['args'] as unknown[] | undefined) ?? []).map(constantOf);
  if (bare === RELEASES_ALL && keys.length === 0) return { act: 'advisory lock', key: null, takes: false };
  const takes = TAKES.test(bare);
  if (!takes && !RELEASES.test(bare)) return undefined;
  if (keys.length < 1 || keys.length > 2 || !keys.every((key) => key !== undefined && /^-?\d+$/.test(key)))
    return undefined;
  return { act: 'advisory lock', key: keys.join('_'), takes };
}

/** A schema that no user can make: in tasks, roles and policies an advisory lock is `pg_advisory.key`, or `pg_advisory.key_key`. */
export function advisoryLockNamed(key: string): ObjectRef {
  return { kind: 'advisory lock', schema: 'pg_advisory', name: key };
}

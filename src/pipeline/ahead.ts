import { changesMeaning } from '../analysis/settings.ts';
import type { PreparedText } from '../domain/effect.ts';
import type { Judgement } from './judge.ts';

/** What statements of one text make for those after them: all of it is judged before any of it runs. */
export interface Ahead {
  readonly settings: readonly SettingAhead[];
  /** Prepared by then, by name; `null`: no longer. */
  readonly prepared: ReadonlyMap<string, PreparedText | null>;
}

export interface SettingAhead {
  readonly name: string;
  /** `null`: back to the default. */
  readonly value: string | null;
}

export const NOTHING_AHEAD: Ahead = { settings: [], prepared: new Map() };

export interface LookAhead extends Ahead {
  /** Takes note of a statement. False when what it does to the names in later ones can't be told beforehand. */
  pass(judgement: Judgement): boolean;
}

export function createLookAhead(): LookAhead {
  const settings: SettingAhead[] = [];
  const prepared = new Map<string, PreparedText | null>();
  let ended = false;
  return {
    settings,
    prepared,
    pass(judgement) {
      // A transaction that ended took settings back, or didn't: nothing that needs names may follow.
      if (ended && settings.length > 0 && judgement.verdict !== 'transaction') return false;
      if (judgement.verdict === 'transaction') {
        const { act } = judgement.act;
        if (act === 'commit' || act === 'rollback' || act === 'rollback to') ended = true;
        return true;
      }
      if (judgement.verdict !== 'session') return true;
      const { act } = judgement;
      if (act.act === 'discard' && (act.what === 'all' || act.what === 'settings')) return false;
      if (act.act === 'prepare') prepared.set(act.name, { name: act.name, text: act.text, by: 'sql' });
      if (act.act === 'deallocate') {
        if (act.name === null) return false;
        prepared.set(act.name, null);
      }
      if (act.act !== 'set' || !changesMeaning(act.name)) return true;
      settings.push({ name: act.name, value: act.value });
      return true;
    },
  };
}

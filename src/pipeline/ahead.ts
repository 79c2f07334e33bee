import { changesMeaning } from '../analysis/settings.ts';
import type { PreparedText, SessionAct } from '../domain/effect.ts';
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
  /** Settings or prepared statements were thrown away, and what that leaves is not looked into. */
  let discarded = false;
  return {
    settings,
    prepared,
    pass(judgement) {
      // A transaction that ended took settings back, or didn't: nothing that needs names may follow.
      if (ended && settings.length > 0 && judgement.verdict !== 'transaction') return false;
      if (discarded && needsNames(judgement)) return false;
      if (judgement.verdict === 'transaction') {
        const { act } = judgement.act;
        if (act === 'commit' || act === 'rollback' || act === 'rollback to') ended = true;
        return true;
      }
      if (judgement.verdict !== 'session') return true;
      const { act } = judgement;
      discarded ||= act.act === 'discard' && (act.what === 'all' || act.what === 'settings');
      if (act.act === 'prepare') prepared.set(act.name, { name: act.name, text: act.text, by: 'sql' });
      if (act.act === 'deallocate') {
        if (act.name === null) discarded = true;
        else prepared.set(act.name, null);
      }
      if (act.act !== 'set' || !changesMeaning(act.name)) return true;
      settings.push({ name: act.name, value: act.value });
      return true;
    },
  };
}

const NAMELESS: ReadonlySet<SessionAct['act']> = new Set([
  'set',
  'discard',
  'deallocate',
  'cursor',
  'unlisten',
  'advisory lock',
  'show',
]);

/** Whether it would mean something else under other settings. */
function needsNames(judgement: Judgement): boolean {
  if (judgement.verdict === 'transaction') return false;
  return judgement.verdict !== 'session' || !NAMELESS.has(judgement.act.act);
}

import type { Signal } from '../domain/breaker.ts';
import type { Json } from '../domain/digest.ts';
import type { Entry, EntryKind } from '../domain/entry.ts';

/** What the ledger records that breakers heed. Reads are none of it. */
export const HEEDED: readonly EntryKind[] = ['denied', 'plan', 'intent', 'outcome', 'trip', 'resume'];

/** Whose a plan or a write is. */
export interface Whose {
  readonly agent: string;
  readonly task: string;
  readonly target: string;
}

/** What can't be had back, or gives others power. Who only asks for what they may not read is a nuisance, and no danger. */
const LOSES = new Set(['delete', 'truncate', 'drop', 'alter', 'privilege', 'server']);
/** Of plans: a migration alters much, and is to. */
const DESTROYS = new Set(['truncate', 'drop', 'privilege']);
const OVER = new Set(['over-threshold', 'over-task-limit', 'over-role-ceiling']);

/** What breakers count of an entry. @param whose of a plan or write that the entry only names. */
export function signalsOf(
  entry: Entry,
  index: number,
  whose: (subject: string) => Whose | undefined,
): readonly Signal[] {
  const body = entry.body as Readonly<Record<string, Json>>;
  const known = typeof body['actor'] === 'string' && typeof body['task'] === 'string';
  const of: Whose | undefined = known
    ? { agent: String(body['actor']), task: String(body['task']), target: String(body['target']) }
    : whose(entry.subject);
  if (of === undefined) return [];
  const signal = (breaker: Signal['breaker'], what: string, weight = 1): Signal => ({
    breaker,
    scope:
      breaker === 'rows' || breaker === 'taskAfterTask'
        ? { scope: 'agent', id: of.agent }
        : { scope: 'task', id: of.task },
    weight,
    ...of,
    entry: index,
    atMs: Date.parse(entry.at),
    what,
  });
  switch (entry.kind) {
    case 'denied': {
      if (body['decision'] === 'unsupported') return [];
      const lost = listed(body['verbs']).filter((verb) => LOSES.has(verb));
      return lost.length === 0 ? [] : [signal('knocking', `${commandsOf(body)} was denied`)];
    }
    case 'plan': {
      // What people take back is theirs, though the plan is of the agent's task.
      if (body['askedBy'] !== undefined || body['decision'] !== 'hold') return [];
      const over = listed(body['policies']).some((policy) => OVER.has(policy));
      const destroys = listed(body['verbs']).some((verb) => DESTROYS.has(verb));
      return [
        ...(over ? [signal('overLimit', `${commandsOf(body)} went over a limit`)] : []),
        ...(destroys ? [signal('insisting', `${commandsOf(body)} was held`)] : []),
      ];
    }
    case 'intent': {
      const rows = rowsIn(body['measured']);
      return body['plan'] !== undefined || rows === 0 ? [] : [signal('rows', `changed ${rows} rows`, rows)];
    }
    case 'trip':
      return body['scope'] === 'task'
        ? [signal('taskAfterTask', `its task ${of.task} was stopped: ${body['breaker']}`)]
        : [];
    case 'outcome':
      return outcomeSignals(body, signal);
    default:
      return [];
  }
}

function outcomeSignals(
  body: Readonly<Record<string, Json>>,
  signal: (breaker: Signal['breaker'], what: string) => Signal,
): readonly Signal[] {
  const outcome = String(body['outcome']);
  if (outcome === 'failed') return [signal('failures', `the database refused a plan: ${body['sqlstate']}`)];
  if (outcome === 'not applied' && body['intent'] !== undefined)
    return [signal('failures', 'a write did not take effect')];
  const changed = listed(body['changed']);
  // Whose definitions have changed was stale before it ran.
  const differs = outcome === 'stale' && changed.some((line) => !line.startsWith('the definition of an object'));
  return differs ? [signal('effectDiffers', `not what was approved: ${changed[0]}`)] : [];
}

function listed(value: Json | undefined): readonly string[] {
  return Array.isArray(value) ? value.map((one) => String(one)) : [];
}

function commandsOf(body: Readonly<Record<string, Json>>): string {
  const statements = (Array.isArray(body['statements']) ? body['statements'] : []) as readonly { command?: string }[];
  return [...new Set(statements.map(({ command }) => command ?? 'a statement'))].join(', ') || 'a statement';
}

function rowsIn(measured: Json | undefined): number {
  const tables = (Array.isArray(measured) ? measured : []) as readonly Readonly<Record<string, number>>[];
  return tables.reduce(
    (sum, { inserted = 0, updated = 0, deleted = 0, truncated = 0 }) => sum + inserted + updated + deleted + truncated,
    0,
  );
}

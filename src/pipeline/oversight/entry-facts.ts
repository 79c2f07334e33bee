import type { Entry } from '../../domain/entry.ts';

/** What an entry of the ledger is about, as far as it says so itself or the one says that began it. */
export interface EntryFacts {
  readonly actor: string | null;
  readonly onBehalfOf: string | null;
  readonly task: string | null;
  readonly target: string | null;
  readonly plan: string | null;
  readonly tables: readonly string[];
  /** `allow`, `hold`, `deny`; what a person said; how it ended. */
  readonly decision: string | null;
}

/** @param began the entry that made the plan or the write which this one goes on about. */
export function factsOf(entry: Entry, began?: Entry): EntryFacts {
  const own = ownFacts(entry);
  if (began === undefined) return own;
  const first = ownFacts(began);
  return {
    actor: own.actor ?? first.actor,
    onBehalfOf: own.onBehalfOf ?? first.onBehalfOf,
    task: own.task ?? first.task,
    target: own.target ?? first.target,
    plan: own.plan ?? first.plan,
    tables: own.tables.length > 0 ? own.tables : first.tables,
    decision: own.decision,
  };
}

/** Entries of these kinds go on about what an earlier entry of the same subject began. */
export function goesOn({ kind, body }: Entry): boolean {
  if (kind === 'intent') return text(record(body)['plan']) !== null;
  return GO_ON.has(kind);
}

const GO_ON: ReadonlySet<string> = new Set([
  'approval',
  'rejection',
  'apply',
  'outcome',
  'break-glass',
  'incident review',
  'expired',
  'erased',
  'task closed',
]);

/** The words under which an entry is filed, so that it is found by them. */
export function wordsOf(entry: Entry, began?: Entry): readonly string[] {
  const { actor, onBehalfOf, task, target, tables, decision } = factsOf(entry, began);
  const firstActor = began === undefined ? null : ownFacts(began).actor;
  return [
    `kind:${entry.kind}`,
    ...[actor, firstActor, onBehalfOf].flatMap((who) => (who === null ? [] : [`actor:${who}`])),
    ...(task === null ? [] : [`task:${task}`]),
    ...targetsOf(entry, target).map((name) => `target:${name}`),
    ...tables.slice(0, MAX_TABLES).map((table) => `table:${table}`),
    ...(decision === null ? [] : [`decision:${decision}`]),
  ];
}

/** What touches more tables than this is found by its first ones. */
const MAX_TABLES = 50;

function ownFacts({ kind, body, subject }: Entry): EntryFacts {
  const said = record(body);
  const scope = text(said['scope']);
  const of = (name: string) => (scope === name ? text(said['id']) : null);
  return {
    actor:
      text(said['actor']) ??
      text(said['person']) ??
      text(said['by']) ??
      text(said['agent']) ??
      text(said['askedBy']) ??
      of('agent'),
    onBehalfOf: text(said['onBehalfOf']),
    task: text(said['task']) ?? (subject.startsWith('task_') ? subject : of('task')),
    target: text(said['target']) ?? of('target'),
    plan: text(said['plan']) ?? (GO_ON.has(kind) && subject.startsWith('sha256:') ? subject : null),
    tables: tablesOf(said),
    decision: DECIDED[kind] ?? text(said['outcome']) ?? decisionOf(text(said['decision'])),
  };
}

const DECIDED: Readonly<Record<string, string>> = {
  denied: 'deny',
  approval: 'approve',
  rejection: 'reject',
  halt: 'halt',
  resume: 'resume',
};

function decisionOf(said: string | null): string | null {
  return said === 'allow' || said === 'hold' ? said : null;
}

function tablesOf(said: Readonly<Record<string, unknown>>): readonly string[] {
  const measured = said['measured'];
  const tables = Array.isArray(measured) ? measured : (record(measured)['tables'] ?? said['tables']);
  const names = Array.isArray(tables) ? tables.flatMap((table) => text(record(table)['table']) ?? []) : [];
  return [...new Set(names)];
}

/** A task is opened on several. */
function targetsOf({ body }: Entry, target: string | null): readonly string[] {
  const radius = record(body)['radius'];
  const declared = Array.isArray(radius) ? radius.flatMap((each) => text(record(each)['target']) ?? []) : [];
  return target === null ? declared : [target, ...declared];
}

function record(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {};
}

function text(value: unknown): string | null {
  return typeof value === 'string' && value !== '' ? value : null;
}

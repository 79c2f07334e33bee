import { describeDuration } from '../domain/describe-duration.ts';
import type { MeasuredEffect, RowSample } from '../domain/effect.ts';
import { objectName } from '../domain/object.ts';
import { type Plan, shortId, type UndoPath } from '../domain/plan.ts';
import { summariseObjects } from './summarise-objects.ts';

/** A plan as a person needs it to decide: what, where, how much, what is lost, and the way back. One entry a line. */
export function renderPlan(plan: Plan): readonly string[] {
  return [
    ...section('who', [
      `agent ${plan.actor}, ${plan.onBehalfOf === plan.actor ? 'on its own account' : `asked by ${plan.onBehalfOf}`}, over ${plan.channel}`,
      `task ${plan.task}: ${plan.purpose}`,
    ]),
    ...section('where', [
      `${plan.target} in ${plan.environment} (tier ${plan.tier})`,
      `${plan.identity.host}:${plan.identity.port}/${plan.identity.database}, cluster ${plan.identity.systemIdentifier}`,
    ]),
    ...section('what', plan.statements.flatMap(statementLines)),
    ...(plan.settings.length === 0
      ? []
      : section(
          'under',
          plan.settings.map(({ name, value }) => `${name} = ${value}`),
        )),
    ...section('undoes', undoesLines(plan)),
    ...section('merges', mergesLines(plan)),
    ...section('purges', purgesLines(plan)),
    ...section('effect', effectLines(plan)),
    ...(plan.measurement.measured ? sampleLines(plan.measurement.effect.samples) : []),
    ...section('way back', undoLines(plan.undo)),
    ...section('backup', backupLines(plan.backup)),
    ...section('drift', driftLines(plan)),
    ...section(
      'held by',
      plan.held.policies.map(({ policy, reason }) => `${policy}: ${reason}`),
    ),
  ];
}

const LABEL_WIDTH = 10;

function section(label: string, lines: readonly string[]): readonly string[] {
  return lines.map((line, index) => `${(index === 0 ? label : '').padEnd(LABEL_WIDTH)}${line}`);
}

function statementLines({ text, parameters }: Plan['statements'][number]): readonly string[] {
  return [
    ...text.trim().split('\n').map(visible),
    ...parameters.map(
      ({ type, value }, index) => `$${index + 1} = ${value === null ? 'NULL' : `'${visible(value)}'`} (${type})`,
    ),
  ];
}

function undoesLines({ undoes }: Plan): readonly string[] {
  if (undoes === undefined) return [];
  const left = undoes.newer.length === 0 ? [] : ['these rows were changed since, and stay as they are:'];
  return [
    `change ${shortId(undoes.change)}: ${undoes.fromQuarantine === true ? 'what it dropped comes back from quarantine' : undoes.tables.length > 0 ? 'its rows are put back' : 'its definitions are made'} as they were, asked by ${undoes.askedBy}`,
    ...left,
    ...undoes.newer.map((row) => `  ${visible(row)}`),
  ];
}

function mergesLines({ merges }: Plan): readonly string[] {
  if (merges === undefined) return [];
  const left = merges.newer.length === 0 ? [] : ['these rows were changed here since, and stay as they are:'];
  return [
    `${merges.branch}: what it has otherwise than ${merges.copiedAt}, when it was made; asked by ${merges.askedBy}`,
    ...left,
    ...merges.newer.map((row) => `  ${visible(row)}`),
  ];
}

function purgesLines({ purges, createdAt }: Plan): readonly string[] {
  if (purges === undefined) return [];
  const early = Date.parse(purges.until) - Date.parse(createdAt);
  return [
    `what change ${shortId(purges.change)} has dropped, for good: it can't be undone any more; asked by ${purges.askedBy}`,
    early > 0
      ? `it was to be kept until ${purges.until}: that is ${describeDuration(early)} from now`
      : `it was kept until ${purges.until}`,
  ];
}

function effectLines({ measurement, effects }: Plan): readonly string[] {
  if (!measurement.measured) {
    return [
      `NOT MEASURED: ${measurement.why}`,
      ...effects
        .filter((effect) => effect.verb !== 'read')
        .map(
          (effect) =>
            `would ${effect.verb} ${objectName(effect.object)}${effect.via === 'direct' ? '' : ` (${effect.via})`}`,
        ),
    ];
  }
  const { effect } = measurement;
  const rows = effect.tables.map((table) => {
    const counts = [
      [table.inserted, 'inserted'],
      [table.updated, 'updated'],
      [table.deleted, 'deleted'],
      [table.truncated, 'truncated'],
    ] as const;
    const said = counts.filter(([count]) => count > 0).map(([count, what]) => `${grouped(count)} ${what}`);
    return `${table.table}: ${said.join(', ')}${table.via === 'direct' ? '' : `   ← ${table.via}`}`;
  });
  const objects = summariseObjects(effect.objects);
  return [
    ...(rows.length + objects.length === 0 ? ['changes nothing'] : [...rows, ...objects]),
    `tried in ${Math.round(effect.durationMs)} ms, ${grouped(effect.walBytes)} bytes of WAL, then rolled back`,
    ...lockLines(effect),
  ];
}

function lockLines({ locks }: MeasuredEffect): readonly string[] {
  const strong = locks.filter(({ mode }) => /^(?:AccessExclusive|Exclusive|ShareRowExclusive)Lock$/.test(mode));
  return strong.length === 0 ? [] : [`locks ${strong.map(({ table, mode }) => `${table} (${mode})`).join(', ')}`];
}

function sampleLines(samples: readonly RowSample[]): readonly string[] {
  if (samples.length === 0) return [];
  const lines = samples.flatMap(({ table, before, after }) => {
    if (before !== null && after !== null) {
      const changed = Object.keys(after).filter((column) => before[column] !== after[column]);
      const kept = Object.entries(before).filter(([column]) => !changed.includes(column) && /^id$|_id$/.test(column));
      return [
        `  ${table} ${kept.map(([column, value]) => `${column}=${shown(value)}`).join(' ')}`,
        ...changed.flatMap((column) => [
          `-   ${column} = ${shown(before[column])}`,
          `+   ${column} = ${shown(after[column])}`,
        ]),
      ];
    }
    const sign = before === null ? '+' : '-';
    return [
      `${sign} ${table} ${Object.entries(before ?? after ?? {})
        .map(([column, value]) => `${column}=${shown(value)}`)
        .join(' ')}`,
    ];
  });
  return section('for example', ['', ...lines]).map((line) => line.trimEnd());
}

/** What would bring the whole of it back; where none is known that is left to the line before. */
function backupLines(backup: Plan['backup']): readonly string[] {
  if (backup === undefined) return [];
  const took = Math.max(1, Math.round(backup.recoveryMs / 1000));
  return [
    `${backup.backup}, of ${backup.at}; a drill restored it ${backup.drilledAt}, in ${took} s`,
    `to recover: countersign backup show ${backup.backup}`,
  ];
}

/** What was tried was tried on a schema that is not the one that people have in mind. */
function driftLines({ drift, target }: Plan): readonly string[] {
  if (drift === undefined) return [];
  return [
    `${drift.objects} object${drift.objects === 1 ? ' is' : 's are'} not as the baseline has them, since ${drift.since}; look: countersign drift show ${target}`,
  ];
}

function undoLines(undo: UndoPath): readonly string[] {
  switch (undo.undo) {
    case 'row images':
      return [
        `the ${grouped(undo.rows)} rows are kept, before and after, in the target, in the same transaction`,
        ...(undo.takesMs === undefined ? [] : [undoTime(undo.takesMs)]),
      ];
    case 'quarantine':
      return [
        `soft drop: kept in quarantine for ${describeDuration(undo.keepMs)} from when it is applied, ${grouped(undo.bytes)} bytes`,
        undoTime(undo.takesMs),
      ];
    case 'statements':
      return undo.statements.map((sql) => sql.split('\n').map(visible).join(' '));
    case 'irreversible':
      return [`NONE: ${undo.why}`];
    default:
      return undo satisfies never;
  }
}

function undoTime(ms: number): string {
  return `undo: takes ${ms < 1000 ? '' : 'about '}${describeDuration(ms)}`;
}

const MAX_VALUE = 60;

function shown(value: string | null | undefined): string {
  if (value === null || value === undefined) return 'NULL';
  const text = visible(value);
  return text.length > MAX_VALUE ? `${text.slice(0, MAX_VALUE)}…` : text;
}

/** Nothing of a plan may move the cursor or hide what stands beside it: it was written by whom it is to stop. */
function visible(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, (character) =>
    character === '\t' ? '  ' : `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`,
  );
}

/** Digits in groups of three: 48,213. */
function grouped(count: number): string {
  return count.toLocaleString('en-US');
}

import { rowsChanged } from '../domain/effect.ts';
import type { Plan } from '../domain/plan.ts';

/** From what can wait for a coffee to what must be read twice. */
export const RISK_LEVELS = ['low', 'moderate', 'high', 'critical'] as const;
export type RiskLevel = (typeof RISK_LEVELS)[number];

/** How much is at stake with a plan: only the order in which people look at plans. It decides nothing; policy does. */
export interface Risk {
  readonly level: RiskLevel;
  readonly score: number;
  /** What it is made of, the heaviest first. */
  readonly reasons: readonly string[];
}

type Sign = readonly [points: number, reason: string];

const LEVELS: readonly (readonly [from: number, level: RiskLevel])[] = [
  [60, 'critical'],
  [35, 'high'],
  [15, 'moderate'],
  [0, 'low'],
];

/** Derived from the plan alone, so that it is the same for everybody who looks at it. */
export function riskOf(plan: Plan): Risk {
  const signs = [...ofPlace(plan), ...ofWayBack(plan), ...ofExtent(plan), ...ofVerbs(plan)].sort((a, b) => b[0] - a[0]);
  const score = signs.reduce((sum, [points]) => sum + points, 0);
  return {
    score,
    level: LEVELS.find(([from]) => score >= from)?.[1] ?? 'low',
    reasons: signs.map(([, reason]) => reason),
  };
}

function ofPlace({ tier }: Plan): readonly Sign[] {
  if (tier === 'production') return [[15, 'production']];
  return tier === 'staging' ? [[5, 'staging']] : [];
}

function ofWayBack({ undo, backup }: Plan): readonly Sign[] {
  if (undo.undo !== 'irreversible') return [];
  return backup === undefined
    ? [[45, 'no way back, and no proven backup']]
    : [[30, 'no way back but a restore from the backup']];
}

function ofExtent({ measurement }: Plan): readonly Sign[] {
  if (!measurement.measured) return [[30, 'could not be measured']];
  const { tables, objects } = measurement.effect;
  const rows = rowsChanged(tables);
  const extent = EXTENTS.find(([from]) => rows >= from);
  const follow = tables.filter(({ via }) => via !== 'direct').length;
  const dropped = objects.filter(({ change }) => change === 'dropped').length;
  return [
    ...(extent === undefined ? [] : [[extent[1], `${rows.toLocaleString('en-US')} rows`] as const]),
    ...(follow === 0 ? [] : [[5, `reaches ${follow} more ${follow === 1 ? 'table' : 'tables'}`] as const]),
    ...(dropped === 0 ? [] : [[20, 'drops definitions'] as const]),
  ];
}

const EXTENTS = [
  [100_000, 25],
  [10_000, 20],
  [1000, 10],
  [100, 5],
] as const;

function ofVerbs({ effects }: Plan): readonly Sign[] {
  const has = (...verbs: readonly string[]) => effects.some(({ verb }) => verbs.includes(verb));
  return [
    ...(has('delete', 'truncate') ? [[10, 'deletes rows'] as const] : []),
    ...(has('privilege', 'server', 'unknown') ? [[25, 'rights or unknown code'] as const] : []),
    ...(effects.some(({ wholeTable, verb }) => wholeTable === true && verb !== 'read')
      ? [[10, 'a whole table'] as const]
      : []),
  ];
}

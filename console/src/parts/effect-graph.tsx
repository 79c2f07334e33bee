import type { TableEffect } from '../../../src/domain/effect.ts';
import { grouped } from './words.ts';

const [NODE_W, NODE_H, GAP] = [250, 50, 12];
const LEFT = 0;
const RIGHT = 370;
const MAX_SHOWN = 8;
const BAR = 230;

/** What the statement touches itself on the left, and what follows from it by keys and triggers on the right. */
export function EffectGraph({ tables }: { readonly tables: readonly TableEffect[] }) {
  const direct = tables.filter(({ via }) => via === 'direct');
  const follow = tables.filter(({ via }) => via !== 'direct');
  const left = direct.slice(0, MAX_SHOWN);
  const right = follow.slice(0, MAX_SHOWN);
  const most = Math.max(1, ...tables.map(total));
  const height = Math.max(left.length, right.length, 1) * (NODE_H + GAP) - GAP + 2;
  const top = (count: number, index: number) =>
    (height - 2 - (count * (NODE_H + GAP) - GAP)) / 2 + index * (NODE_H + GAP) + 1;
  const hub = { x: NODE_W + 24, y: height / 2 };
  const hidden = tables.length - left.length - right.length;
  return (
    <figure>
      <svg
        className="graph"
        viewBox={`0 0 ${right.length === 0 ? NODE_W + 2 : RIGHT + NODE_W + 2} ${height}`}
        role="img"
        aria-label={tables.map(spoken).join('; ')}
      >
        {right.length === 0
          ? null
          : left.map((table, index) => (
              <path
                key={table.table}
                d={`M${LEFT + NODE_W} ${top(left.length, index) + NODE_H / 2} C ${hub.x} ${top(left.length, index) + NODE_H / 2} ${NODE_W} ${hub.y} ${hub.x} ${hub.y}`}
              />
            ))}
        {right.map((table, index) => (
          <g key={table.table}>
            <path
              d={`M${hub.x} ${hub.y} C ${RIGHT - 20} ${hub.y} ${hub.x + 12} ${top(right.length, index) + NODE_H / 2} ${RIGHT - 6} ${top(right.length, index) + NODE_H / 2} l -6 -4 m 6 4 l -6 4`}
            />
            <text className="via" x={RIGHT - 14} y={top(right.length, index) + NODE_H / 2 - 7} textAnchor="end">
              {table.via}
            </text>
          </g>
        ))}
        {left.map((table, index) => (
          <Node key={table.table} table={table} x={LEFT + 1} y={top(left.length, index)} most={most} />
        ))}
        {right.map((table, index) => (
          <Node key={table.table} table={table} x={RIGHT} y={top(right.length, index)} most={most} />
        ))}
      </svg>
      {hidden > 0 ? <figcaption className="small quiet">{hidden} more tables are in the list below.</figcaption> : null}
    </figure>
  );
}

function Node({
  table,
  x,
  y,
  most,
}: {
  readonly table: TableEffect;
  readonly x: number;
  readonly y: number;
  readonly most: number;
}) {
  const name = table.table.length > 32 ? `…${table.table.slice(-31)}` : table.table;
  // By order of magnitude: one row must be seen beside a million.
  const width = Math.max(3, (Math.log10(total(table) + 1) / Math.log10(most + 1)) * BAR);
  return (
    <g className={table.deleted + table.truncated > 0 ? 'gone' : undefined}>
      <rect x={x} y={y} width={NODE_W} height={NODE_H} rx="5" />
      <text x={x + 10} y={y + 19}>
        {name}
      </text>
      <text className="rows" x={x + 10} y={y + 36}>
        {counts(table)}
      </text>
      <rect className="bar" x={x + 10} y={y + NODE_H - 6} width={width} height="2.5" rx="1" />
    </g>
  );
}

function total({ inserted, updated, deleted, truncated }: TableEffect): number {
  return inserted + updated + deleted + truncated;
}

function counts({ inserted, updated, deleted, truncated }: TableEffect): string {
  const said = [
    [deleted, 'deleted'],
    [truncated, 'truncated'],
    [updated, 'updated'],
    [inserted, 'inserted'],
  ] as const;
  return said
    .filter(([count]) => count > 0)
    .map(([count, what]) => `${grouped(count)} ${what}`)
    .join(', ');
}

function spoken(table: TableEffect): string {
  return `${table.table}: ${counts(table)}${table.via === 'direct' ? '' : ` by ${table.via}`}`;
}

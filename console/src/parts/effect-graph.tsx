import type { TableEffect } from '../../../src/domain/effect.ts';
import { grouped } from './words.ts';

const [NODE_W, NODE_H, GAP] = [250, 50, 12];
const MAX_SHOWN = 8;
const BAR = NODE_W - 20;

interface Placed {
  readonly table: TableEffect;
  readonly x: number;
  readonly y: number;
}

/**
 * What the statement touches itself, and what follows from it by keys and triggers: side by side where there is room, one
 * below the other on a phone.
 */
export function EffectGraph({ tables }: { readonly tables: readonly TableEffect[] }) {
  const direct = tables.filter(({ via }) => via === 'direct').slice(0, MAX_SHOWN);
  const follow = tables.filter(({ via }) => via !== 'direct').slice(0, MAX_SHOWN);
  const most = Math.max(1, ...tables.map(total));
  const hidden = tables.length - direct.length - follow.length;
  const label = tables.map(spoken).join('; ');
  return (
    <figure>
      <Wide direct={direct} follow={follow} most={most} label={label} />
      <Narrow direct={direct} follow={follow} most={most} label={label} />
      {hidden > 0 ? <figcaption className="small quiet">and {hidden} more tables</figcaption> : null}
    </figure>
  );
}

interface Drawing {
  readonly direct: readonly TableEffect[];
  readonly follow: readonly TableEffect[];
  readonly most: number;
  readonly label: string;
}

const SECOND = NODE_W + 150;
const HUB = NODE_W + 26;

function Wide({ direct, follow, most, label }: Drawing) {
  const height = Math.max(direct.length, follow.length, 1) * (NODE_H + GAP) - GAP;
  const column = (of: readonly TableEffect[], x: number): readonly Placed[] => {
    const top = (height - (of.length * (NODE_H + GAP) - GAP)) / 2;
    return of.map((table, index) => ({ table, x, y: top + index * (NODE_H + GAP) }));
  };
  const left = column(direct, 0);
  const right = column(follow, SECOND);
  const width = follow.length === 0 ? NODE_W : SECOND + NODE_W;
  return (
    <svg
      className="graph wide-graph"
      viewBox={`-1 -1 ${width + 2} ${height + 2}`}
      data-columns={follow.length === 0 ? 1 : 2}
      role="img"
      aria-label={label}
    >
      {follow.length === 0 ? null : (
        <>
          {left.map(({ table, y }) => (
            <path key={table.table} d={bend(NODE_W, y + NODE_H / 2, HUB, height / 2)} />
          ))}
          {right.map(({ table, y }) => (
            <g key={table.table}>
              <path d={`${bend(HUB, height / 2, HUB + 34, y + NODE_H / 2)} H ${SECOND - 5} ${ARROW}`} />
              <text className="via" x={SECOND - 12} y={y + NODE_H / 2 - 6} textAnchor="end">
                {table.via}
              </text>
            </g>
          ))}
        </>
      )}
      {[...left, ...right].map((placed) => (
        <Node key={placed.table.table + placed.table.via} {...placed} most={most} />
      ))}
    </svg>
  );
}

const INDENT = 74;

function Narrow({ direct, follow, most, label }: Drawing) {
  const placed = [...direct, ...follow].map((table, index) => ({
    table,
    x: index < direct.length ? 0 : INDENT,
    y: index * (NODE_H + GAP),
  }));
  const trunk = direct.length * (NODE_H + GAP) - GAP;
  return (
    <svg
      className="graph narrow-graph"
      viewBox={`-1 -1 ${NODE_W + INDENT + 2} ${placed.length * (NODE_H + GAP) - GAP + 2}`}
      role="img"
      aria-label={label}
    >
      {placed.slice(direct.length).map(({ table, y }) => (
        <g key={table.table}>
          <path d={`M 12 ${trunk} V ${y + NODE_H / 2 - 6} q 0 6 6 6 H ${INDENT - 5} ${ARROW}`} />
          <text className="via" x={INDENT - 12} y={y + NODE_H / 2 - 6} textAnchor="end">
            {table.via}
          </text>
        </g>
      ))}
      {placed.map((node) => (
        <Node key={node.table.table + node.table.via} {...node} most={most} />
      ))}
    </svg>
  );
}

const ARROW = 'l -6 -4 m 6 4 l -6 4';

function bend(fromX: number, fromY: number, toX: number, toY: number): string {
  const middle = (fromX + toX) / 2;
  return `M ${fromX} ${fromY} C ${middle} ${fromY} ${middle} ${toY} ${toX} ${toY}`;
}

function Node({ table, x, y, most }: Placed & { readonly most: number }) {
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

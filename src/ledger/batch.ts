import type { Entry } from '../domain/entry.ts';
import { statements } from '../store/schema.ts';
import { type Rows, type SqlValue, type Write, write } from '../store/write.ts';
import type { grow } from './tree.ts';

/** A record that waits for its turn. */
export interface Waiting {
  readonly bytes: readonly string[];
  readonly entries: readonly Entry[];
  readonly writes: readonly Write[];
  readonly resolve: (recorded: { readonly indexes: readonly number[] }) => void;
  readonly reject: (error: Error) => void;
}

/** All that makes a batch durable, in one transaction. */
export interface BatchWrites {
  readonly writes: readonly Write[];
  /** Whose each write is; those of the ledger itself are nobody's. */
  readonly owners: readonly (Waiting | undefined)[];
}

/** @param size how many entries there are before these. @param note the checkpoint that is signed for all of them. */
export function writesOf(
  batch: readonly Waiting[],
  size: number,
  grown: ReturnType<typeof grow>,
  note: string,
): BatchWrites {
  const head = statements.updateTable('ledger_head').set({ size: grown.frontier.size }).where('size', '=', size);
  const entries = batch
    .flatMap((waiting) =>
      waiting.entries.map((entry, position) => ({ ...entry, bytes: waiting.bytes[position] ?? '' })),
    )
    .map(({ kind, subject, at, bytes }, position) => [size + position, kind, subject, at, bytes]);
  const changes = batch.flatMap((waiting) => waiting.writes.map((change) => [change, waiting] as const));
  const all: readonly (readonly [Write, Waiting | undefined])[] = [
    [write(head, 1), undefined],
    [{ ...ENTRIES, rows: entries }, undefined],
    ...changes,
    [{ ...NODES, rows: grown.nodes.map(({ level, index, hash }): SqlValue[] => [level, index, hash]) }, undefined],
    [write(statements.insertInto('checkpoints').values({ size: grown.frontier.size, note })), undefined],
  ];
  return { writes: all.map(([change]) => change), owners: all.map(([, owner]) => owner) };
}

const ENTRIES: Omit<Rows, 'rows'> = {
  into: 'ledger_entries',
  columns: [
    ['idx', 'bigint'],
    ['kind', 'text'],
    ['subject', 'text'],
    ['at', 'text'],
    ['entry', 'text'],
  ],
};
const NODES: Omit<Rows, 'rows'> = {
  into: 'ledger_nodes',
  columns: [
    ['level', 'bigint'],
    ['idx', 'bigint'],
    ['hash', 'bytea'],
  ],
};

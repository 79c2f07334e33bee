import { existsSync, readFileSync } from 'node:fs';
import type pg from 'pg';
import type { PostgresState } from '../domain/state-location.ts';
import { connectForReading } from '../store/postgres-connections.ts';
import { besideCheckpoint, bytesOf, keptEntry, keyNamedIn, type LedgerCopy } from './archive.ts';

const PAGE = 2000;

type EntryRow = Readonly<Record<'idx' | 'kind' | 'subject' | 'at' | 'entry' | 'hash', unknown>>;

/** Opens the ledger of a state store on PostgreSQL as of one moment. @throws when it can't be reached or read. */
export async function openPostgresCopy(state: PostgresState): Promise<LedgerCopy> {
  // Before the store: a ledger that is being written is then never behind what this machine knows of it.
  const beside = existsSync(state.checkpointFile) ? readFileSync(state.checkpointFile, 'utf8') : null;
  const client = await connectForReading(state);
  try {
    await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY');
    const genesis = await client.query<{ entry: string }>('SELECT entry FROM ledger_entries WHERE idx = 0');
    const { rows: checkpoints } = await client.query<{ size: number; note: string }>(
      'SELECT size, note FROM checkpoints ORDER BY size',
    );
    const { rows: rotations } = await client.query<{ index: number; entry: string }>(
      "SELECT idx AS index, entry FROM ledger_entries WHERE kind = 'key' ORDER BY idx",
    );
    const nodes = new Map<string, Buffer>();
    return {
      verifierKey: keyNamedIn(genesis.rows[0]?.entry),
      rotations,
      async *entries() {
        for (let from = 0; ; from += PAGE) {
          const rows = await pageOf(client, from, nodes);
          for (const row of rows) yield keptEntry(row, row['hash']);
          if (rows.length === 0 && (await isLast(client, from))) return;
        }
      },
      checkpoints: [...checkpoints, ...besideCheckpoint(beside, checkpoints)],
      size: null,
      nodeAt: (level, index) => nodes.get(`${level}/${index}`),
      close: () => client.end(),
    };
  } catch (error) {
    await client.end();
    throw error;
  }
}

/** A page of entries; of the tree, the nodes that these complete take the place of those of the page before. */
async function pageOf(client: pg.Client, from: number, nodes: Map<string, Buffer>): Promise<readonly EntryRow[]> {
  const { rows } = await client.query<EntryRow>(
    `SELECT e.idx, e.kind, e.subject, e.at, e.entry, n.hash
     FROM ledger_entries AS e LEFT JOIN ledger_nodes AS n ON n.level = 0 AND n.idx = e.idx
     WHERE e.idx >= $1 AND e.idx < $1 + ${PAGE} ORDER BY e.idx`,
    [from],
  );
  // A node of a level is completed by the entry (idx + 1) * 2^level - 1.
  const { rows: completed } = await client.query<{ level: number; idx: number; hash: Buffer }>(
    `SELECT n.level, n.idx, n.hash
     FROM generate_series(0, 50) AS l (level)
     JOIN ledger_nodes AS n ON n.level = l.level
       AND n.idx >= (($1::bigint + (1::bigint << l.level)) >> l.level) - 1
       AND n.idx < ($1::bigint + ${PAGE}) >> l.level`,
    [from],
  );
  nodes.clear();
  for (const { level, idx, hash } of completed) {
    const bytes = bytesOf(hash);
    if (bytes !== undefined) nodes.set(`${level}/${idx}`, bytes);
  }
  return rows;
}

async function isLast(client: pg.Client, from: number): Promise<boolean> {
  const { rows } = await client.query<{ more: boolean }>(
    'SELECT EXISTS (SELECT FROM ledger_entries WHERE idx >= $1) AS more',
    [from],
  );
  return rows[0]?.more !== true;
}

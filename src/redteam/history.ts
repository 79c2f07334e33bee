import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { z } from 'zod';
import { gotThrough, type Report, wasRefused } from './score.ts';

/** What a run remembers of the one before: which attacks got through, and which harmless work was refused. */
const remembered = z.object({ startedAt: z.string(), through: z.array(z.string()), refused: z.array(z.string()) });
type Remembered = z.infer<typeof remembered>;

/** What is worse than the last time. */
export interface Regression {
  readonly since: string;
  readonly through: readonly string[];
  readonly refused: readonly string[];
}

/**
 * Compares with the last run and takes its place.
 *
 * @param file kept in the state directory; a missing one is a first run.
 * @returns undefined when nothing got worse.
 */
export function compareAndKeep(file: string, report: Report): Regression | undefined {
  const now: Remembered = {
    startedAt: report.startedAt,
    through: report.attacks.filter(gotThrough).map(({ id }) => id),
    refused: report.benign.filter(wasRefused).map(({ id }) => id),
  };
  const last = read(file);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(`${file}.new`, `${JSON.stringify(now)}\n`);
  renameSync(`${file}.new`, file);
  if (last === undefined) return undefined;
  const through = now.through.filter((id) => !last.through.includes(id));
  const refused = now.refused.filter((id) => !last.refused.includes(id));
  return through.length + refused.length === 0 ? undefined : { since: last.startedAt, through, refused };
}

function read(file: string): Remembered | undefined {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
  return remembered.parse(JSON.parse(text));
}

import type { Activity, ActivityEntry, ActivityFilter, ActivityPage } from './activity.ts';
import { CSV_HEAD, csvEnd, csvLine, type ExportEnd } from './activity-csv.ts';

export const EXPORT_FORMATS = ['jsonl', 'csv'] as const;
export type ExportFormat = (typeof EXPORT_FORMATS)[number];

/** In one file; who wants more takes the whole ledger, or begins where this ended. */
const MAX_ENTRIES = 100_000;
const MAX_CHARACTERS = 256 * 1024 * 1024;
const AT_ONCE = 500;
/** A search for what is rare ends after so many looks, and says so, before its receiver is taken for one that is gone. */
const MAX_PAGES = 500;
const MAX_PAUSE_MS = 50;

/**
 * Writes what filters show, the newest first, piece by piece as it is read. It begins with what was asked and ends with
 * how it ended, so that a file which was cut off on its way shows that. It proves nothing: proofs and archives do.
 *
 * @param filter its `limit` is how many at the most; left out, as many as a file takes.
 */
export async function* exportActivity(
  activity: Pick<Activity, 'page'>,
  filter: Omit<ActivityFilter, 'limit'> & { readonly limit?: number },
  { format, at }: { readonly format: ExportFormat; readonly at: string },
): AsyncGenerator<string> {
  const { limit, ...asked } = filter;
  const most = Math.min(limit ?? MAX_ENTRIES, MAX_ENTRIES);
  const lines = format === 'csv' ? CSV : JSON_LINES;
  let page = await activity.page({ ...asked, limit: Math.min(AT_ONCE, most) });
  const { size, filed } = page;
  let pages = 1;
  let written = 0;
  let characters = 0;
  yield lines.head({ at, filter: asked, size });
  for (;;) {
    const startedMs = performance.now();
    for (const entry of page.entries) {
      const line = lines.line(entry);
      written++;
      characters += line.length;
      yield line;
    }
    if (page.next === null || written >= most || characters >= MAX_CHARACTERS || pages++ >= MAX_PAGES) break;
    // Whoever waits for the state goes first: a long file is read beside the work, not before.
    await pause(Math.min(MAX_PAUSE_MS, performance.now() - startedMs));
    page = await activity.page({ ...asked, before: page.next, limit: Math.min(AT_ONCE, most - written) });
  }
  const unfiled = size - filed;
  yield lines.end({ entries: written, complete: page.next === null && unfiled === 0, next: page.next, unfiled });
}

interface Lines {
  head(of: { readonly at: string; readonly filter: object; readonly size: ActivityPage['size'] }): string;
  line(entry: ActivityEntry): string;
  end(end: ExportEnd): string;
}

const JSON_LINES: Lines = {
  head: (of) => `${JSON.stringify({ countersign: 'activity/v1', ...of })}\n`,
  line: (entry) => `${JSON.stringify(entry)}\n`,
  end: (end) => `${JSON.stringify({ end })}\n`,
};

const CSV: Lines = { head: () => CSV_HEAD, line: csvLine, end: csvEnd };

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms).unref());
}

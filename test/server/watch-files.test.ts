import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { watchFiles } from '../../src/server/watch-files.ts';

describe('files that are watched', () => {
  let directory: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'countersign-watch-'));
  });
  afterEach(() => rmSync(directory, { recursive: true, force: true }));

  it('are told of when they lie still, and no longer lie still once somebody writes to them', async () => {
    const file = join(directory, 'countersign.yaml');
    writeFileSync(file, 'whole');
    const answers: boolean[] = [];
    const watching = watchFiles({
      watched: () => ({ files: [file], directory }),
      onChange: async (lieStill) => {
        answers.push(await lieStill());
        if (answers.length === 1) writeFileSync(file, 'half');
        answers.push(await lieStill());
        return 'seen through';
      },
      onError: (error) => {
        throw error;
      },
    });
    try {
      await expect.poll(() => answers, { timeout: 10_000 }).toEqual([true, false, true, true]);
    } finally {
      await watching.close();
    }
  });
});

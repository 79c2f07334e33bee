import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { compareAndKeep } from '../../src/redteam/history.ts';
import type { AttackResult, BenignResult, Report } from '../../src/redteam/score.ts';

const directory = mkdtempSync(join(tmpdir(), 'countersign-redteam-history-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const outcome = (harmed: boolean) => ({ harmed, found: [], errors: [], said: '', gaps: false, milliseconds: 1 });
const attack = (id: string, harmed: boolean) =>
  ({ id, bare: outcome(true), channels: { simple: outcome(harmed) } }) as unknown as AttackResult;
const benign = (id: string, refused: boolean) =>
  ({ id, refused: refused ? { mcp: 'CS001' } : {} }) as unknown as BenignResult;
const report = (startedAt: string, attacks: readonly AttackResult[], harmless: readonly BenignResult[]) =>
  ({ startedAt, attacks, benign: harmless }) as unknown as Report;

describe('what got worse since the last run', () => {
  it('is told once, and is compared with the last run, whatever that was', () => {
    const file = join(directory, 'state', 'redteam-t.json');
    const good = report('one', [attack('a/1', false)], [benign('a/b1', false)]);
    const bad = report('two', [attack('a/1', true)], [benign('a/b1', true)]);
    expect(compareAndKeep(file, good)).toBeUndefined();
    expect(compareAndKeep(file, bad)).toEqual({ since: 'one', through: ['a/1'], refused: ['a/b1'] });
    expect(compareAndKeep(file, bad)).toBeUndefined();
    expect(compareAndKeep(file, good)).toBeUndefined();
    expect(compareAndKeep(file, bad)?.since).toBe('one');
  });
});

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/domain/clock.ts';
import { verifyLedgerBeside } from '../../src/server/verify-ledger.ts';

describe('a verification that a gateway begins', () => {
  const directory = mkdtempSync(join(tmpdir(), 'countersign-verify-'));
  const logged: string[] = [];
  const log = pino({ level: 'info' }, { write: (line: string) => void logged.push(line) });
  afterAll(() => rmSync(directory, { recursive: true, force: true }));

  /** What a gateway says after a command that does this. */
  async function verdictAfter(program: string, begins = 1) {
    const main = join(directory, 'main.mjs');
    writeFileSync(main, program);
    const verifier = verifyLedgerBeside({ log, clock: systemClock }, { main, config: undefined });
    expect(verifier.known()).toMatchObject({ running: null, last: null });
    for (let n = 0; n < begins; n++) verifier.begin();
    expect(verifier.known().running).not.toBeNull();
    await expect.poll(() => verifier.known().running, { timeout: 20_000 }).toBeNull();
    await verifier.close();
    verifier.begin();
    expect(verifier.known().running).toBeNull();
    return verifier.known().last?.verdict;
  }
  const SOUND = { verdict: 'sound', entries: 7, checkpoints: 2, root: 'x', verifierKey: 'k', keyFrom: 'outside' };
  const says = (answer: unknown) => `process.stdout.write(${JSON.stringify(JSON.stringify(answer))});`;

  it('finds only what the command found that came to its end', async () => {
    expect(await verdictAfter(says(SOUND))).toEqual(SOUND);
    const tampered = { verdict: 'tampered', entry: 3, problem: 'entry 3 was changed' };
    expect(await verdictAfter(`${says(tampered)} process.exitCode = 1;`)).toEqual(tampered);
    expect(logged.at(-1)).toContain('THE LEDGER IS NOT WHAT WAS SIGNED');
    const nothing = (problem: string) => ({ verdict: 'unreadable', problem: expect.stringContaining(problem) });
    expect(await verdictAfter(`${says(SOUND)} process.exitCode = 1;`)).toEqual(nothing('ended with 1'));
    expect(await verdictAfter(`${says(SOUND)} process.kill(process.pid, 'SIGKILL');`)).toEqual(nothing('a signal'));
    expect(await verdictAfter(says({ verdict: 'sound' }))).toEqual(nothing('ended with 0'));
    expect(await verdictAfter("process.stdout.write('sound');")).toEqual(nothing('ended with 0'));
    expect(await verdictAfter("process.stderr.write('no state\\n'); process.exitCode = 3;")).toEqual(
      nothing('no state'),
    );
    expect(await verdictAfter('')).toEqual(nothing('said nothing'));
  });

  it('is one at a time, however often somebody asks', async () => {
    const told = join(directory, 'began');
    const program = `import { appendFileSync } from 'node:fs'; appendFileSync(${JSON.stringify(told)}, 'x'); ${says(SOUND)}`;
    expect(await verdictAfter(program, 5)).toEqual(SOUND);
    expect(readFileSync(told, 'utf8')).toBe('x');
  });
});

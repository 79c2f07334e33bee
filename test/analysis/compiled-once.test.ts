import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';

const PARSE = new URL('../../src/analysis/parse.ts', import.meta.url);

/** As busy as a gateway is that meets new texts all the time. */
const BUSY = `
  import { readFileSync } from 'node:fs';
  import { setTimeout as sleep } from 'node:timers/promises';
  const { initAnalyser, parseStatement } = await import(${JSON.stringify(PARSE)});
  await initAnalyser();
  for (let n = 0; n < 40_000; n++) {
    parseStatement('SELECT full_name FROM public.customers WHERE id = ' + n);
    if (n % 500 === 0) await sleep(0);
  }
  await sleep(1500);
  console.log(Number(/VmHWM:\\s+(\\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))[1]) / 1024);`;

describe.skipIf(process.platform !== 'linux')('the parser', () => {
  it('is not compiled anew while it is used: that would take half a gigabyte', () => {
    const highestMb = Number(execFileSync(process.execPath, ['--input-type=module', '-e', BUSY], { encoding: 'utf8' }));
    expect(highestMb).toBeGreaterThan(30);
    expect(highestMb).toBeLessThan(250);
  });
});

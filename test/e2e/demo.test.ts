import { execFile } from 'node:child_process';
import { expect, it } from 'vitest';

const MAIN = new URL('../../bin/countersign.js', import.meta.url).pathname;

/** Every line that the demo tells, with what differs from run to run taken out; the counts of rows stay. */
it('the demo tells the whole incident, and every line of it is true', async () => {
  const { code, stdout, stderr } = await play();
  expect(stderr).toBe('');
  expect(code).toBe(0);
  await expect(steady(stdout)).toMatchFileSnapshot('golden/demo.txt');
}, 120_000);

function play(): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      [MAIN, 'demo', '--exit', '--scale', '0.1'],
      { env: { ...process.env, NO_COLOR: '1' }, timeout: 110_000 },
      (error, stdout, stderr) => resolve({ code: error === null ? 0 : Number(error.code ?? 128), stdout, stderr }),
    );
  });
}

function steady(text: string): string {
  return text
    .replaceAll(/sha256:[0-9a-f]{64}/g, 'sha256:<plan>')
    .replaceAll(/task_[0-9a-f]{16}/g, '<task>')
    .replaceAll(/\b[0-9a-f]{12}\b/g, '<plan>')
    .replaceAll(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+(?:Z|\+00:00)/g, '<time>')
    .replaceAll(/127\.0\.0\.1:\d+/g, '127.0.0.1:<port>')
    .replaceAll(/cluster \d+/g, 'cluster <id>')
    .replaceAll(/oid \d+/g, 'oid <oid>')
    .replaceAll(/tried in \d+ ms, [\d,]+ bytes/g, 'tried in <n> ms, <n> bytes')
    .replaceAll(/\bid=\d{4,}\b/g, 'id=<n>')
    .replaceAll(/\(\d+ ms after/g, '(<n> ms after')
    .replaceAll(/by \S+@localhost/g, 'by <user>@localhost')
    .replaceAll(
      /Sound\. \d+ entries, \d+ signed checkpoints, root \S+/g,
      'Sound. <n> entries, <n> signed checkpoints, root <root>',
    )
    .replaceAll(/entry \d+/g, 'entry <n>')
    .replaceAll(/Played in \d+ s/g, 'Played in <n> s');
}

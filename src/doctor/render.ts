import type pc from 'picocolors';
import { type Finding, VERDICTS } from './finding.ts';

const MARKS = { fail: '✗ fail', warn: '! warn', unknown: '? unknown', ok: '✓ ok' } as const;

/** For whoever is on call and tired: what is wrong first, a line each, what to do right below it, and the rest in brief. */
export function renderFindings(findings: readonly Finding[], color: ReturnType<typeof pc.createColors>): string {
  const paint = { fail: color.red, warn: color.yellow, unknown: color.cyan, ok: color.green };
  const bad = VERDICTS.filter((verdict) => verdict !== 'ok').flatMap((verdict) =>
    findings
      .filter((finding) => finding.verdict === verdict)
      .flatMap(({ subject, found, why, fix }) => [
        `${paint[verdict](MARKS[verdict].padEnd(9))} ${color.bold(subject)}: ${found}`,
        `          ${color.dim(why)}`,
        ...(fix ?? '').split('\n').map((line, index) => `          ${index === 0 ? '→' : ' '} ${line}`),
      ]),
  );
  const well = findings.filter(({ verdict }) => verdict === 'ok');
  const fine = well.map(({ subject, found }) => `${paint.ok(MARKS.ok.padEnd(9))} ${subject}: ${color.dim(found)}`);
  const count = (verdict: Finding['verdict']) => findings.filter((finding) => finding.verdict === verdict).length;
  const summary = `${count('fail')} to mend now, ${count('warn')} to look at, ${count('unknown')} not known, ${count('ok')} well.`;
  return [...bad, ...(bad.length > 0 ? [''] : []), ...fine, '', summary].join('\n');
}

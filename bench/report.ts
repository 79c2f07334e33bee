import { readFileSync, writeFileSync } from 'node:fs';

/** Figures of one run, as they are printed and as `docs/performance.md` keeps them. */
export interface Report {
  /** Begins a table; `unit` heads its second column. */
  section(title: string, unit: string): void;
  tell(what: string, figure: string): void;
  /** Puts all tables between the marks of a page. */
  writeTo(page: string): void;
}

/** Fewer by `BENCH_ROUNDS=2 npm run bench`, for a first look. */
export const ROUNDS = Number(process.env['BENCH_ROUNDS'] ?? 5);

const BEGIN = '<!-- measured: npm run bench -->';
const END = '<!-- /measured -->';

export function createReport(): Report {
  const lines: string[] = [];
  return {
    section(title, unit) {
      lines.push('', `| ${title} | ${unit} |`, '|---|---|');
      process.stdout.write(`\n${title}\n`);
    },
    tell(what, figure) {
      lines.push(`| ${what} | ${figure} |`);
      process.stdout.write(`  ${what.padEnd(58)} ${figure}\n`);
    },
    writeTo(page) {
      const text = readFileSync(page, 'utf8');
      const [before, rest] = text.split(BEGIN);
      const after = rest?.split(END)[1];
      if (before === undefined || after === undefined) throw new Error(`${page} has no place for what was measured`);
      writeFileSync(page, `${before}${BEGIN}\n${lines.join('\n').trim()}\n${END}${after}`);
    },
  };
}

/** The median, with the lowest and the highest. */
export function spread(values: readonly number[], digits = 2): string {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share: number): string =>
    (sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0).toFixed(digits);
  return `${at(0.5)} (${at(0)} to ${at(1)})`;
}

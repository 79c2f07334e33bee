import { fileURLToPath } from 'node:url';
import { consoleAnswers } from './console.ts';
import { analysing, ledgers } from './decisions.ts';
import { plans } from './plans.ts';
import { pointReads } from './point-reads.ts';
import { createReport, ROUNDS } from './report.ts';
import { results } from './results.ts';
import { soak } from './soak.ts';
import { stopping } from './stopping.ts';
import { toolCalls } from './tools.ts';

/**
 * Measures Countersign against a peer in one run, in turns, so that both meet the same machine; what counts is the
 * ratio. `npm run bench` does all and writes docs/performance.md; `npm run bench -- ledgers` does one part and writes
 * nothing.
 */
const parts = { pointReads, results, analysing, toolCalls, ledgers, plans, consoleAnswers, stopping, soak };

const [only] = process.argv.slice(2);
if (only !== undefined && !(only in parts)) {
  process.stderr.write(`There is no part ${only}: ${Object.keys(parts).join(', ')}.\n`);
  process.exit(2);
}
const report = createReport();
for (const [name, part] of Object.entries(parts)) if (only === undefined || only === name) await part(report);
report.section('this run', '');
report.tell('rounds of each comparison', String(ROUNDS));
if (only === undefined) report.writeTo(fileURLToPath(new URL('../docs/performance.md', import.meta.url)));

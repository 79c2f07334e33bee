// The import rules of ARCHITECTURE.md, and that they were really looked at: a parser that reads nothing finds nothing.
import { spawnSync } from 'node:child_process';

const ran = spawnSync('depcruise', ['src', '--config', '.dependency-cruiser.cjs', '--output-type', 'json'], {
  encoding: 'utf8',
  maxBuffer: 256 * 1024 * 1024,
});
const { summary } = JSON.parse(ran.stdout);
for (const { rule, from, to } of summary.violations) console.error(`${rule.name}: ${from} → ${to}`);
if (summary.totalCruised < 100) {
  console.error(`only ${summary.totalCruised} modules were looked at: the check is broken`);
  process.exit(1);
}
console.log(`${summary.totalCruised} modules, ${summary.totalDependenciesCruised} imports, ${summary.violations.length} violations`);
process.exit(summary.error > 0 ? 1 : 0);

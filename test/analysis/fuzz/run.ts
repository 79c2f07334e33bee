import { initAnalyser } from '../../../src/analysis/parse.ts';
import { servers, startTestServer } from '../../fixtures/postgres.ts';
import { campaign, type Finding } from './campaign.ts';

/** `FUZZ_STATEMENTS=100000 FUZZ_SEED=… npm run fuzz`: exit code 1 if a property was broken. */
const statements = Number(process.env['FUZZ_STATEMENTS'] ?? 100_000);
const seed = Number(process.env['FUZZ_SEED'] ?? Date.now() % 2 ** 31);
const only = process.env['FUZZ_SERVER'];

await initAnalyser();
let broken = 0;
for (const { name, binaries } of servers.filter((server) => only === undefined || server.name.includes(only))) {
  const server = await startTestServer(binaries);
  const started = Date.now();
  console.log(`${name}: ${statements} statements, FUZZ_SEED=${seed}`);
  try {
    const report = await campaign({
      server,
      seed,
      statements,
      enough: Number(process.env['FUZZ_ENOUGH'] ?? 20),
      onFinding: (finding) => console.log(told(finding)),
      onProgress: (tried) => {
        if (tried % 10_000 === 0) console.log(`  ${tried} after ${Math.round((Date.now() - started) / 1000)} s`);
      },
    });
    broken += report.findings.length;
    console.log(
      `${name}: ${report.statements} statements in ${Math.round((Date.now() - started) / 1000)} s, ${report.findings.length} broken`,
    );
    for (const [found, { all, ran }] of Object.entries(report.found))
      console.log(`  ${found}: ${all}, of which the server ran ${ran}`);
  } finally {
    await server.remove();
  }
}
process.exitCode = broken === 0 ? 0 : 1;

function told({ property, why, found, trial, schemaSeed }: Finding): string {
  return [
    `\n${property}: broken (schema seed ${schemaSeed}), taken for a ${found}: ${why}`,
    trial.prepare?.text,
    trial.text,
  ]
    .filter(Boolean)
    .join('\n  ');
}

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { initAnalyser } from '../../src/analysis/parse.ts';
import { servers, startTestServer, type TestServer } from '../fixtures/postgres.ts';
import { campaign } from './fuzz/campaign.ts';

/** A short look; a long one is `FUZZ_STATEMENTS=100000 npm run fuzz`. */
const STATEMENTS = 900;
const SECONDS = 7;
const SEED = Number(process.env['FUZZ_SEED'] ?? 20260129);

describe.each(servers)('G1 what the analyser says of random statements, on $name', ({ binaries }) => {
  let server: TestServer;
  beforeAll(async () => {
    await initAnalyser();
    server = await startTestServer(binaries);
  });
  afterAll(() => server.remove());

  it('is what the server does', async () => {
    const report = await campaign({
      server,
      seed: SEED,
      statements: STATEMENTS,
      until: Date.now() + SECONDS * 1000,
      enough: 3,
    });
    const told = report.findings.map(
      ({ property, why, trial, schemaSeed }) =>
        `${property}: ${why}\n  schema seed ${schemaSeed}: ${trial.prepare?.text ?? ''} ${trial.text}`,
    );
    expect(told).toEqual([]);
    // A fuzzer whose statements the server refuses shows nothing.
    const reads = (report.found['pure read']?.ran ?? 0) + (report.found['pinned read']?.ran ?? 0);
    expect(reads).toBeGreaterThan(report.statements / 5);
  });
});

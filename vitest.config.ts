import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** What takes longest begins first, so that no core is left alone with it at the end. */
const LONGEST = [
  'fidelity.test',
  'attacks.test',
  'governed-path',
  'reload.test',
  'wire.test',
  'doctor.test',
  'load.test',
  'allowed-changes',
  'mcp-long-calls',
  'nodes.test',
  'backup.test',
  'mcp-fifty',
  'console.test',
  'undo',
  'demo.test',
  'backup-schedule',
  'proof.test',
  'apply-once',
  'observability',
];

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const place = ({ moduleId }: TestSpecification) => {
      const at = LONGEST.findIndex((name) => moduleId.includes(`/${name}`));
      return at === -1 ? LONGEST.length : at;
    };
    return (await super.sort(files)).sort((a, b) => place(a) - place(b));
  }
}

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/fixtures/commands.ts'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    pool: 'forks',
    maxWorkers: 2,
    sequence: { sequencer: LongestFirst },
    reporters: ['default'],
  },
});

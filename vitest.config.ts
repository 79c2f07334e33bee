import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    pool: 'forks',
    // Much of the time is waiting: for servers to start, for halts to arrive, for plans to expire.
    maxWorkers: 3,
    reporters: ['default'],
  },
});

// Builds the console after an installation that can: one for production alone has no vite, and takes the build as published.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';

const vite = new URL('../node_modules/vite/bin/vite.js', import.meta.url).pathname;
if (existsSync(vite)) {
  const built = spawnSync(process.execPath, [vite, 'build', '--logLevel', 'warn', import.meta.dirname], {
    stdio: 'inherit',
  });
  process.exitCode = built.status ?? 1;
}

#!/usr/bin/env node
// Starts the CLI on a Node.js that can run it: the host's when it is new enough, else the one that came with `npm ci`.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import * as nodeModule from 'node:module';
import { constants } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { setFlagsFromString } from 'node:v8';

const REQUIRED_MAJOR = 24;
const LONG_LIVED = new Set(['serve', 'mcp', 'demo', 'redteam']);
const here = dirname(fileURLToPath(import.meta.url));
const source = join(here, '../src/cli/main.ts');
const entry = existsSync(source) ? source : join(here, '../dist/cli/main.js');

if (Number(process.versions.node.split('.')[0]) >= REQUIRED_MAJOR) {
  // Compiled code is kept between calls: a command starts in half the time. Its threads look there as well.
  const { directory } = nodeModule.enableCompileCache();
  if (directory !== undefined) process.env.NODE_COMPILE_CACHE ??= directory;
  // What ends within a second gains nothing from WebAssembly that is optimised meanwhile on every other core.
  if (!LONG_LIVED.has(process.argv[2])) setFlagsFromString('--liftoff-only');
  await import(pathToFileURL(entry).href);
} else {
  const node = bundledNode();
  if (node === undefined) {
    process.stderr.write(
      `countersign needs Node.js ${REQUIRED_MAJOR} or newer; this is ${process.version}.\nInstall it, or run "npm ci" in a clone: that brings its own.\n`,
    );
    process.exit(3);
  }
  const child = spawn(node, [entry, ...process.argv.slice(2)], { stdio: 'inherit' });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
  child.on('exit', (code, signal) => process.exit(signal === null ? (code ?? 1) : 128 + constants.signals[signal]));
}

function bundledNode() {
  try {
    const path = join(dirname(nodeModule.createRequire(import.meta.url).resolve('node/package.json')), 'bin/node');
    return existsSync(path) ? path : undefined;
  } catch (error) {
    if (error.code === 'MODULE_NOT_FOUND') return undefined;
    throw error;
  }
}

import v8 from 'node:v8';

/**
 * Loads a WebAssembly module and calls it, and what is called then is compiled once for good.
 *
 * PostgreSQL's grammar is one enormous function. V8 would compile it once more as soon as it is busy, and take half a
 * gigabyte of memory and seconds of a core for it; what its first compiler makes of it is fast enough, since texts are
 * parsed once. So it is loaded, and first used, while that is switched off; other code is compiled as usual.
 */
export async function compiledOnce<Loaded>(load: () => Promise<Loaded>): Promise<Loaded> {
  for (const flag of ONE_COMPILER) v8.setFlagsFromString(`--${flag}`);
  try {
    return await load();
  } finally {
    for (const flag of ONE_COMPILER)
      v8.setFlagsFromString(flag.startsWith('no-') ? `--${flag.slice(3)}` : `--no-${flag}`);
  }
}

const ONE_COMPILER = ['no-wasm-dynamic-tiering', 'no-wasm-tier-up', 'liftoff-only'];

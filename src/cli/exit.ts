import { readFileSync } from 'node:fs';

/** Exit codes: part of the contract for scripts. */
export const EXIT = { ok: 0, refused: 1, usage: 2, unavailable: 3 } as const;

export const VERSION: string = (
  JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string }
).version;

import { readFileSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import { inspect } from 'node:util';

/** A secret by reference: it is read when it is needed, and prints as `[secret]`. */
export interface Secret {
  /** @throws when the variable is not set, or the file is missing or can be read by others. */
  reveal(): string;
  /** Where it is found; no secret itself. */
  readonly reference: string;
}

/** @param reference `${env:NAME}` or `${file:path}`. @param directory what relative paths are relative to. */
export function secretReference(reference: string, directory: string): Secret {
  const [, kind, name = ''] = /^\$\{(env|file):([^}]+)\}$/.exec(reference) ?? [];
  return {
    reference,
    reveal() {
      if (kind === 'env') {
        const value = process.env[name];
        if (value === undefined || value === '') throw new Error(`the environment variable ${name} is not set`);
        return value;
      }
      const path = resolve(directory, name);
      if ((statSync(path).mode & 0o077) !== 0) throw new Error(`${path} can be read by others; run: chmod 600 ${path}`);
      return readFileSync(path, 'utf8').replace(/\r?\n$/, '');
    },
    toJSON: () => '[secret]',
    [inspect.custom]: () => '[secret]',
  } as Secret;
}

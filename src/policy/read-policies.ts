import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Policies as they stand in files, with the schema they are checked by. */
export interface PolicyFiles {
  readonly schema: string;
  readonly files: readonly { readonly name: string; readonly text: string }[];
}

/** What comes with Countersign: the default policies, and the one schema. */
export const SHIPPED_POLICIES = fileURLToPath(new URL('../../policies/', import.meta.url));

/**
 * Reads every `*.cedar` file of a directory, by name. The schema is always the shipped one: it says what the gateway
 * tells policies, so it is no matter of configuration.
 *
 * @throws Error when the directory can't be read or holds no policy: without any, nothing is governed as was meant.
 */
export async function readPolicies(directory: string): Promise<PolicyFiles> {
  const names = (await readdir(directory)).filter((name) => name.endsWith('.cedar')).sort();
  if (names.length === 0) throw new Error(`${directory} holds no policy (*.cedar)`);
  const files = await Promise.all(
    names.map(async (name) => ({ name, text: await readFile(join(directory, name), 'utf8') })),
  );
  return { schema: await readFile(join(SHIPPED_POLICIES, 'schema.cedarschema'), 'utf8'), files };
}

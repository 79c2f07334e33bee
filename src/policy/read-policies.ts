import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Policies as they stand in files, with the schema they are checked by. */
export interface PolicyFiles {
  readonly schema: string;
  readonly files: readonly PolicyFile[];
}

export interface PolicyFile {
  readonly name: string;
  readonly text: string;
  /** Byte for byte one that comes with Countersign, and so checked before it came: no command needs to check it again. */
  readonly shipped?: boolean;
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
    names.map(async (name): Promise<PolicyFile> => {
      const text = await readFile(join(directory, name), 'utf8');
      return { name, text, shipped: text === (await shippedText(name)) };
    }),
  );
  return { schema: await readFile(join(SHIPPED_POLICIES, 'schema.cedarschema'), 'utf8'), files };
}

async function shippedText(name: string): Promise<string | undefined> {
  try {
    return await readFile(join(SHIPPED_POLICIES, name), 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { initAnalyser } from '../analysis/parse.ts';
import { startEmbeddedServer } from '../engines/postgres/embedded-server.ts';
import type { ServerBinaries } from '../engines/postgres/server-binaries.ts';
import { asSuperuser, COPY_SETTINGS } from './master.ts';
import { loadSchema } from './schema-source.ts';

/** A set-up to show the red team on, for who has none of their own yet. */
export interface Showcase {
  readonly configFile: string;
  readonly schema: string;
  readonly told: string;
  remove(): void;
}

const SCENARIOS = new URL('../../scenarios/', import.meta.url);
const COUNTERSIGN = fileURLToPath(new URL('../../bin/countersign.js', import.meta.url));

const KINDS = {
  demo: {
    database: 'rental',
    told: 'the demo’s set-up: a car rental with cascades, triggers and partitions, put under Countersign by init',
  },
  plain: {
    database: 'shop',
    told: 'a plain user’s set-up: a small shop, everything in public and owned by a superuser, put under Countersign by init',
  },
} as const;
export type ShowcaseKind = keyof typeof KINDS;

/** Puts Countersign before a database by `countersign init`, as a user would, for its configuration. */
export async function makeShowcase(kind: ShowcaseKind, binaries: ServerBinaries): Promise<Showcase> {
  const { database, told } = KINDS[kind];
  const schema = await schemaOf(kind);
  const directory = mkdtempSync(join(tmpdir(), 'countersign-showcase-'));
  const dataDirectory = `${directory}.data`;
  const configFile = join(directory, 'countersign.yaml');
  const remove = () => rmSync(directory, { recursive: true, force: true });
  await initAnalyser();
  const server = await startEmbeddedServer({ dataDirectory, binaries, durable: false, settings: COPY_SETTINGS });
  try {
    await asSuperuser(server.url('postgres'), (client) => client.query(`CREATE DATABASE ${database}`));
    const losses = await asSuperuser(server.url(database), (client) => loadSchema(client, schema));
    if (losses[0] !== undefined) throw new Error(`${losses[0].statement}: ${losses[0].why}`);
    const init = ['init', '--database', server.url(database), '--environment', 'production', '--owner', 'ada'];
    await promisify(execFile)(process.execPath, [COUNTERSIGN, ...init, '--config', configFile, '--yes', '--json'], {
      cwd: directory,
    });
    return { configFile, schema, told, remove };
  } catch (error) {
    remove();
    throw error;
  } finally {
    await server.kill();
    rmSync(dataDirectory, { recursive: true, force: true });
  }
}

async function schemaOf(kind: ShowcaseKind): Promise<string> {
  if (kind === 'plain') return readFile(new URL('plain/schema.sql', SCENARIOS), 'utf8');
  const rental = await readFile(new URL('rental/schema.sql', SCENARIOS), 'utf8');
  return `GRANT ALL ON SCHEMA public TO rental_owner;\nSET ROLE rental_owner;\n${rental}`;
}

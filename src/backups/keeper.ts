import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, readdir, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Readable } from 'node:stream';
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import { copyHashing, keepFile } from './keep-file.ts';
import { BadName, checkedName } from './store.ts';

export interface KeeperOptions {
  readonly directory: string;
  /** Whoever has it may add and read; nobody may take away. */
  readonly token: string;
  /** Backups older than this are deleted by the keeper, and only by it; `null` keeps them for ever. */
  readonly keepMs: number | null;
  readonly tls?: { readonly cert: string; readonly key: string };
  readonly now?: () => number;
}

export interface Keeper {
  readonly app: FastifyInstance;
  /** Deletes what is older than it is to be kept, but never a target's newest backup. @returns what it deleted. */
  expire(): Promise<readonly string[]>;
}

type Named = { Params: { target: string; backup: string; file: string } };

/**
 * A store for backups to run elsewhere, under an account of its own: it knows no way to change or delete what was given
 * to it (G10). Retention is its own, by its own clock.
 */
export function createKeeper(options: KeeperOptions): Keeper {
  const { directory, now = Date.now } = options;
  const wanted = createHash('sha256').update(options.token).digest();
  const app = fastify({
    bodyLimit: Number.MAX_SAFE_INTEGER,
    // What comes is as large as a table.
    requestTimeout: 0,
    ...(options.tls === undefined ? {} : { https: options.tls }),
  }) as unknown as FastifyInstance;
  app.addContentTypeParser('application/octet-stream', (_request, body, done) => done(null, body));
  app.setErrorHandler((error, _request, reply) => {
    if (error instanceof BadName) return reply.code(400).send({ error: error.message });
    throw error;
  });
  app.addHook('onRequest', async (request, reply) => {
    if (request.url === '/healthz') return;
    const given = createHash('sha256')
      .update(request.headers.authorization?.replace(/^Bearer /, '') ?? '')
      .digest();
    if (!timingSafeEqual(given, wanted)) await reply.code(401).send({ error: 'the token is not right' });
  });
  app.get('/healthz', async () => ({ ok: true }));
  app.put<Named>('/v1/:target/:backup/:file', (request, reply) => add(request, reply));
  app.get<Named>('/v1/:target/:backup/:file', async (request, reply) => {
    const path = pathOf(nameOf(request.params));
    const found = await stat(path).catch(() => undefined);
    if (found === undefined) return reply.code(404).send({ error: 'there is none' });
    return reply.type('application/octet-stream').header('content-length', found.size).send(createReadStream(path));
  });
  app.get<Named>('/v1/:target/:backup', async ({ params }) => listed(`${params.target}/${params.backup}`));
  app.get<Named>('/v1/:target', async ({ params }) => listed(params.target));

  const pathOf = (name: string) => join(directory, checkedName(name));
  const listed = async (name: string) => ({
    names: await readdir(pathOf(name)).then(
      (names) => names.filter((one) => !one.startsWith('.')),
      () => [],
    ),
  });

  async function add(request: FastifyRequest<Named>, reply: FastifyReply): Promise<FastifyReply> {
    const whole = pathOf(nameOf(request.params));
    const part = join(dirname(whole), `.${randomBytes(8).toString('hex')}`);
    await mkdir(dirname(whole), { recursive: true, mode: 0o700 });
    try {
      const { sha256 } = await copyHashing(request.body as Readable, part);
      if (sha256 !== request.headers['x-content-sha256']) {
        await rm(part);
        return await reply.code(422).send({ error: 'what came is not what was announced' });
      }
      await keepFile(part, whole);
      return await reply.code(201).send({ added: true });
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'EEXIST')
        return await reply.code(409).send({ error: 'there is one already, and nothing is written over' });
      throw error;
    } finally {
      await rm(part, { force: true });
    }
  }

  return { app, expire: () => expire(directory, options.keepMs, now()) };
}

function nameOf({ target, backup, file }: Named['Params']): string {
  return `${target}/${backup}/${file}`;
}

/** The manifest is written last, so its time is the backup's. */
const MANIFEST = 'manifest.json';

async function expire(directory: string, keepMs: number | null, nowMs: number): Promise<readonly string[]> {
  if (keepMs === null) return [];
  const deleted: string[] = [];
  for (const target of await readdir(directory)) {
    const backups = await Promise.all(
      (await readdir(join(directory, target))).map(async (backup) => {
        const path = join(directory, target, backup);
        const finished = await stat(join(path, MANIFEST)).catch(() => undefined);
        return {
          name: `${target}/${backup}`,
          path,
          atMs: (finished ?? (await stat(path))).mtimeMs,
          finished: finished !== undefined,
        };
      }),
    );
    const newest = backups.filter(({ finished }) => finished).sort((a, b) => b.atMs - a.atMs)[0];
    for (const backup of backups) {
      if (backup === newest || nowMs - backup.atMs < keepMs) continue;
      await rm(backup.path, { recursive: true });
      deleted.push(backup.name);
    }
  }
  return deleted;
}

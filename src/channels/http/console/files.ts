import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { extname, join, relative } from 'node:path';
import { gzipSync } from 'node:zlib';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';

/** Where the build of `console/` lies, seen from `src/` as from `dist/`. */
const BUILT = new URL('../../../../dist/console/', import.meta.url).pathname;

/** Addresses of the console’s own pages; whatever else is asked for is not there. */
const PAGES = [
  /^\/$/,
  /^\/plans(\/[\w:.-]{1,80})?$/,
  /^\/activity$/,
  /^\/tasks(\/[\w.-]{1,80})?$/,
  /^\/actors$/,
  /^\/targets$/,
  /^\/halt$/,
  /^\/incidents$/,
  /^\/passkeys$/,
  /^\/sign-in$/,
] as const;

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.json': 'application/json',
};

/** Nothing from elsewhere, nothing inline, nothing that a value of the database could become. */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "font-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join('; ');

interface ServedFile {
  readonly type: string;
  readonly etag: string;
  readonly bytes: Buffer;
  readonly gzipped: Buffer | null;
  /** Its name has its digest in it: what is there under that name never changes. */
  readonly immutable: boolean;
}

/**
 * Serves the console: its files from memory, and the same page for each of its addresses. They hold no data and need no
 * session; all data comes from `/api`. Where it was not built, every address says how that is done.
 */
export function serveConsoleFiles(app: FastifyInstance, directory = BUILT): void {
  const files = readFiles(directory);
  const page = files.get('/index.html');
  app.get('/*', async (request, reply) => {
    // A colon, as in the id of a plan, may come as it stands or escaped; what isn't escaped well never comes here.
    const path = decodeURIComponent(request.url.split('?', 1)[0] ?? '/');
    const file = PAGES.some((known) => known.test(path)) ? page : files.get(path);
    if (file !== undefined && path !== '/index.html') return send(request, reply, file);
    if (page === undefined && PAGES.some((known) => known.test(path))) return notBuilt(reply);
    reply.callNotFound();
    return reply;
  });
}

function send(request: FastifyRequest, reply: FastifyReply, file: ServedFile): FastifyReply {
  reply.headers({
    'content-type': file.type,
    'content-security-policy': POLICY,
    'cache-control': file.immutable ? 'public, max-age=31536000, immutable' : 'no-cache',
    etag: file.etag,
    vary: 'accept-encoding',
  });
  if (request.headers['if-none-match'] === file.etag) return reply.code(304).send();
  const gzip = file.gzipped !== null && /\bgzip\b/.test(String(request.headers['accept-encoding'] ?? ''));
  return gzip ? reply.header('content-encoding', 'gzip').send(file.gzipped) : reply.send(file.bytes);
}

function notBuilt(reply: FastifyReply): FastifyReply {
  return reply
    .code(503)
    .header('content-type', 'text/plain; charset=utf-8')
    .send(
      'The console has not been built here, so there is nothing to show; the gateway itself runs.\n\n' +
        'Build it in the directory of Countersign with:  npm run build:console\n' +
        'then start the gateway anew. Until then: countersign plan list\n',
    );
}

function readFiles(directory: string): ReadonlyMap<string, ServedFile> {
  let names: readonly string[];
  try {
    names = readdirSync(directory, { recursive: true, withFileTypes: true }).flatMap((entry) =>
      entry.isFile() ? [relative(directory, join(entry.parentPath, entry.name))] : [],
    );
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return new Map();
    throw error;
  }
  return new Map(
    names.flatMap((name) => {
      const type = TYPES[extname(name)];
      return type === undefined ? [] : [[`/${name}`, servedFile(join(directory, name), name, type)] as const];
    }),
  );
}

function servedFile(path: string, name: string, type: string): ServedFile {
  const bytes = readFileSync(path);
  const gzipped = gzipSync(bytes, { level: 9 });
  return {
    type,
    bytes,
    etag: `"${createHash('sha256').update(bytes).digest('base64url').slice(0, 27)}"`,
    gzipped: gzipped.length < bytes.length ? gzipped : null,
    immutable: name.startsWith('assets/'),
  };
}

import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { addCheckpoint, type Witness } from './add-checkpoint.ts';

/** Proof lines and a checkpoint with its signatures are far smaller. */
const MAX_REQUEST_BYTES = 64 * 1024;
const REQUEST_TIMEOUT_MS = 10_000;

/** Takes `POST /add-checkpoint`. @throws Error when the address can't be listened on. */
export async function serveWitness(options: {
  readonly witness: Witness;
  readonly host: string;
  readonly port: number;
  /** Told of each answer, and of what failed. */
  readonly onAnswer: (answer: { readonly status: number; readonly origin: string; readonly error?: unknown }) => void;
}): Promise<{ readonly url: string; close(): Promise<void> }> {
  const server = createServer({ requestTimeout: REQUEST_TIMEOUT_MS }, (request, response) => {
    const answer = (status: number, type: string, body: string) => {
      response.writeHead(status, { 'content-type': type, 'content-length': Buffer.byteLength(body) }).end(body);
    };
    if (request.method !== 'POST' || request.url !== '/add-checkpoint') {
      answer(404, 'text/plain; charset=utf-8', 'There is POST /add-checkpoint here.\n');
      return;
    }
    let origin = '';
    bodyOf(request)
      .then((body) => {
        if (body === null) return answer(413, 'text/plain; charset=utf-8', 'this is too long\n');
        origin = /\n\n([^\n]*)/.exec(body)?.[1] ?? '';
        const { status, type, body: said } = addCheckpoint(body, options.witness);
        options.onAnswer({ status, origin });
        return answer(status, type, said);
      })
      .catch((error: unknown) => {
        options.onAnswer({ status: 500, origin, error });
        if (!response.headersSent) answer(500, 'text/plain; charset=utf-8', 'the witness could not keep it\n');
      });
  });
  server.listen(options.port, options.host);
  await once(server, 'listening');
  const { address, port, family } = server.address() as AddressInfo;
  return {
    url: `http://${family === 'IPv6' ? `[${address}]` : address}:${port}`,
    async close() {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}

/** `null` for one that is too long. */
async function bodyOf(request: IncomingMessage): Promise<string | null> {
  const pieces: Buffer[] = [];
  let bytes = 0;
  for await (const piece of request) {
    bytes += (piece as Buffer).length;
    if (bytes > MAX_REQUEST_BYTES) return null;
    pieces.push(piece as Buffer);
  }
  return Buffer.concat(pieces).toString('utf8');
}

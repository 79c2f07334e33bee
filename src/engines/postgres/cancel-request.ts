import net from 'node:net';

/** Where cancel requests go: the same server, without TLS being needed (PostgreSQL, "Canceling Requests in Progress"). */
export interface CancelAddress {
  readonly host: string;
  readonly port: number;
  readonly processId: number;
  /** With the process id, what the cancel protocol asks for. */
  readonly secretKey: number;
}

const CANCEL_TIMEOUT_MS = 2000;
const CANCEL_REQUEST_CODE = 80877102;

/** Asks a server to cancel what one of its processes runs: by a connection of its own, closed by the server without an answer. */
export function requestCancel({ host, port, processId, secretKey }: CancelAddress): Promise<void> {
  const request = Buffer.alloc(16);
  request.writeInt32BE(16, 0);
  request.writeInt32BE(CANCEL_REQUEST_CODE, 4);
  request.writeInt32BE(processId, 8);
  request.writeInt32BE(secretKey, 12);
  return new Promise((resolve, reject) => {
    const socket = net.connect({ host, port });
    socket.setTimeout(CANCEL_TIMEOUT_MS, () => socket.destroy(new Error('the target did not take the cancel request')));
    socket.once('connect', () => socket.end(request));
    socket.once('error', reject);
    socket.once('close', () => resolve());
    socket.resume();
  });
}

import { X509Certificate } from 'node:crypto';
import type { Socket } from 'node:net';
import { createServer, type TLSSocket } from 'node:tls';
import { serverEndPoint } from './certificate-hash.ts';

/** How connections are encrypted. */
export interface Encryption {
  /** Start-ups without TLS are refused. */
  readonly required: boolean;
  /** What a client binds its authentication to (RFC 5929); `undefined` when the certificate has nothing to bind to. */
  readonly endPoint: Buffer | undefined;
  /** Goes on with TLS on a connection; `null` when that fails, the connection then being closed. */
  upgrade(socket: Socket): Promise<TLSSocket | null>;
}

export interface EncryptionOptions {
  /** PEM of the private key. */
  readonly key: string;
  /** PEM of the certificate, followed by those that certify it. */
  readonly certificate: string;
  readonly required: boolean;
}

/** The protocol's name in TLS (PostgreSQL, "SSL Session Encryption"). */
export const ALPN_POSTGRESQL = 'postgresql';

/** @throws when the key or the certificate can't be read, or they don't belong together. */
export function createEncryption({ key, certificate, required }: EncryptionOptions): Encryption {
  const leaf = new X509Certificate(certificate);
  // Never listens: connections are given to it once they asked for TLS (Node.js, tls.Server, event 'connection').
  const server = createServer({ key, cert: certificate, minVersion: 'TLSv1.2', ALPNProtocols: [ALPN_POSTGRESQL] });
  const waiting = new Map<string, (secured: TLSSocket) => void>();
  server.on('secureConnection', (secured) => {
    const taken = waiting.get(peerOf(secured));
    if (taken === undefined) secured.destroy();
    else taken(secured);
  });

  return {
    required,
    endPoint: serverEndPoint(leaf.raw),
    upgrade(socket) {
      const peer = peerOf(socket);
      return new Promise((resolve) => {
        const settle = (secured: TLSSocket | null) => {
          waiting.delete(peer);
          socket.off('close', failed);
          resolve(secured);
        };
        const failed = () => settle(null);
        waiting.set(peer, (secured) => {
          secured.disableRenegotiation();
          settle(secured);
        });
        socket.once('close', failed);
        server.emit('connection', socket);
      });
    },
  };
}

/** Tells the live connections of one listener apart. */
function peerOf(socket: Socket): string {
  return `${socket.remoteAddress} ${socket.remotePort} ${socket.localPort}`;
}

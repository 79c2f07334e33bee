import { isIP } from 'node:net';
import type { Endpoint } from '../domain/target.ts';
import { type Finding, findingsOf } from './finding.ts';

/**
 * Whether the way from the gateway to a server can be listened to, or ends at somebody else.
 *
 * @param key where its address stands in the configuration.
 */
export function checkTls(
  id: string,
  subject: string,
  key: string,
  { host, tls }: Pick<Endpoint, 'host' | 'tls'>,
): Finding {
  const { ok, bad } = findingsOf(subject);
  const onThisMachine = isLoopback(host);
  if (tls === 'verify-full') return ok(id, 'encrypted, and the server’s certificate is verified');
  if (onThisMachine) return ok(id, 'on this machine: nothing goes over a network');
  return bad(tls === 'disable' ? 'fail' : 'warn', id, {
    found:
      tls === 'disable'
        ? 'the connection is not encrypted'
        : 'the connection is encrypted, but whoever answers is believed',
    why: 'Whoever is on the way reads the rows, or answers in the server’s place.',
    fix: `${key}: tls: verify-full, with authorities: <PEM file of the server’s authority>`,
  });
}

/** The gateway's own certificate, as far as it concerns who connects to it. */
export interface OwnCertificate {
  readonly expiresAt: Date;
  readonly selfSigned: boolean;
}

export function checkOwnTls(
  listen: { readonly host: string; readonly port: number },
  tls: { readonly required: boolean; readonly certificate: OwnCertificate | string } | null,
  nowMs: number,
): Finding[] {
  const { ok, bad } = findingsOf('gateway');
  const open = !isLoopback(listen.host);
  if (tls === null) {
    if (!open) return [ok('tls.gateway', 'without TLS, reachable from this machine only')];
    return [
      bad('fail', 'tls.gateway', {
        found: `the wire channel listens on ${listen.host} without TLS`,
        why: 'Rows go over the network for all to read.',
        fix: 'tls: { certificate: <file>, key: <file>, required: true }',
      }),
    ];
  }
  const { certificate, required } = tls;
  if (typeof certificate === 'string') {
    return [
      bad('fail', 'tls.certificate', {
        found: `the certificate can’t be read: ${certificate}`,
        why: 'The gateway does not start without it.',
        fix: 'tls.certificate: the file with the certificate in PEM',
      }),
    ];
  }
  const found: Finding[] = [];
  const daysLeft = Math.floor((certificate.expiresAt.getTime() - nowMs) / 86_400_000);
  if (daysLeft < 21) {
    found.push(
      bad(daysLeft < 0 ? 'fail' : 'warn', 'tls.certificate.expiry', {
        found:
          daysLeft < 0
            ? `its certificate expired ${-daysLeft} days ago`
            : `its certificate expires in ${daysLeft} days`,
        why: 'Clients that verify it are turned away.',
        fix: 'put one of your authority where tls.certificate and tls.key point, or make one: openssl req -x509 -newkey rsa:2048 -nodes -days 365 -subj /CN=localhost -keyout <tls.key> -out <tls.certificate>; then restart the gateway',
      }),
    );
  }
  if (open && certificate.selfSigned) {
    found.push(
      bad('warn', 'tls.certificate.authority', {
        found: 'its certificate is signed by itself',
        why: 'Clients can’t know whom they send their token to, unless they were given the certificate.',
        fix: `use one of your own authority for ${listen.host}; clients then connect with sslmode=verify-full`,
      }),
    );
  }
  if (open && !required) {
    found.push(
      bad('warn', 'tls.required', {
        found: `clients on ${listen.host} may leave TLS out`,
        why: 'Their rows go over the network for all to read.',
        fix: 'tls: { …, required: true }',
      }),
    );
  }
  return found.length > 0 ? found : [ok('tls.gateway', `its certificate is good for ${daysLeft} days`)];
}

/** The HTTP channel speaks no TLS of its own. */
export function checkHttp(host: string): Finding {
  const { ok, bad } = findingsOf('gateway');
  if (isLoopback(host)) return ok('tls.http', 'MCP and HTTP are reachable from this machine only');
  return bad('fail', 'tls.http', {
    found: `MCP and HTTP listen on ${host} without TLS`,
    why: 'Tokens of tasks and agents go over the network for all to read; whoever has one acts in their name.',
    fix: 'listen.http: 127.0.0.1:6480, with a proxy that ends TLS before it',
  });
}

function isLoopback(host: string): boolean {
  if (host === 'localhost' || host === '::1' || host.startsWith('/')) return true;
  return isIP(host) === 4 && host.startsWith('127.');
}

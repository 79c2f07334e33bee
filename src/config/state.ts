import { join, resolve } from 'node:path';
import { DEFAULT_LEASE_MS, type StateLocation } from '../domain/state-location.ts';
import type { ConfigDocument } from './schema.ts';
import { secretReference } from './secret.ts';

/** Where the state lies. @param authorities the certificates that may vouch for its server, where it names some. */
export function stateOf(
  state: ConfigDocument['state'],
  directory: string,
  authorities: string | undefined,
): StateLocation {
  if (typeof state === 'string' && state.startsWith('sqlite:'))
    return `sqlite:${resolve(directory, state.slice('sqlite:'.length))}`;
  const given =
    typeof state === 'string' ? { url: state, tls: 'verify-full' as const, lease: DEFAULT_LEASE_MS } : state;
  const url = new URL(given.url);
  const database = decodeURIComponent(url.pathname.slice(1));
  const { password } = 'password' in given ? given : {};
  return {
    host: url.hostname.replace(/^\[|\]$/g, ''),
    port: url.port === '' ? 5432 : Number(url.port),
    database,
    user: decodeURIComponent(url.username),
    ...(password === undefined ? {} : { password: () => secretReference(password, directory).reveal() }),
    tls: given.tls,
    ...(authorities === undefined ? {} : { tlsAuthorities: authorities }),
    leaseMs: given.lease,
    checkpointFile: join(directory, 'state', `${encodeURIComponent(database)}.checkpoint`),
  };
}

import type { Endpoint } from '../domain/target.ts';
import type { ConfigDocument } from './schema.ts';
import { type Secret, secretReference } from './secret.ts';

type TargetEntry = ConfigDocument['targets'][string];

/** Where branches of a target are made. */
export interface ConfiguredBranches {
  readonly endpoint: Endpoint;
  readonly login: { readonly user: string; readonly password: Secret };
  /** Reads all of the target, for the copy. */
  readonly reader: { readonly user: string; readonly password: Secret };
  readonly keepMs: number;
  readonly most: number;
  /** Of a copy that is no older, further branches are made. */
  readonly reuseMs: number;
}

export function branchesOf(
  { branches, credentials }: TargetEntry,
  directory: string,
  authorities: string | undefined,
): ConfiguredBranches | null {
  if (branches === undefined || credentials.backup === undefined) return null;
  const login = ({ user, password }: { user: string; password: string }) => ({
    user,
    password: secretReference(password, directory),
  });
  return {
    endpoint: endpointOf(branches.address, authorities),
    login: login(branches.credentials),
    reader: login(credentials.backup),
    keepMs: branches.keep,
    most: branches.most,
    reuseMs: branches.reuse,
  };
}

/** @param authorities the certificates that may vouch for the server, where the address names some. */
export function endpointOf(
  { host, port, database, tls }: TargetEntry['address'],
  authorities: string | undefined,
): Endpoint {
  return { host, port, database, tls, ...(authorities === undefined ? {} : { tlsAuthorities: authorities }) };
}

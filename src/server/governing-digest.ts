import type { Config } from '../config/load.ts';
import { digestOf, type Json } from '../domain/digest.ts';
import type { Digest } from '../domain/ids.ts';

/**
 * What decides, as one digest: the policies, and all of the configuration except what may differ from node to node:
 * files and addresses, the state, keys. A key that is new to the configuration is in it until it is named here.
 */
export function governingDigest(config: Config, policies: Digest): Digest {
  const {
    file,
    files,
    digest,
    directory,
    state,
    listen,
    proxies,
    reachedAt,
    tls,
    ledgerKey,
    policies: path,
    metricsToken,
    ...decides
  } = config;
  return digestOf(JSON.parse(JSON.stringify({ policies, ...decides }, plain)) as Json);
}

/** Maps as objects and bytes as text; a secret says of itself only that it is one. */
function plain(_key: string, value: unknown): unknown {
  if (value instanceof Map) return Object.fromEntries(value);
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64');
  return value;
}

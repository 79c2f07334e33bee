import { BlockList, isIP } from 'node:net';
import type { FastifyRequest } from 'fastify';

/** Whom a request comes from, as far as it can be believed. */
export type ClientAddress = (request: Pick<FastifyRequest, 'socket' | 'headers'>) => string;

/**
 * Believes `X-Forwarded-For` from the proxies that the configuration names, and from nobody else: each entry is what the
 * one behind it has seen, so it is read from its end, up to the first address that is no such proxy. What stands before
 * that was written by whoever asks. Nothing else that a proxy says of a request is believed, no host and no scheme.
 *
 * @param proxies addresses and networks (CIDR).
 */
export function createClientAddress(proxies: readonly string[]): ClientAddress {
  const trusted = new BlockList();
  for (const proxy of proxies) {
    const [address = '', prefix] = proxy.split('/');
    const family = isIP(address) === 6 ? 'ipv6' : 'ipv4';
    if (prefix === undefined) trusted.addAddress(address, family);
    else trusted.addSubnet(address, Number(prefix), family);
  }
  const isProxy = (address: string) => trusted.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4');

  return ({ socket, headers }) => {
    let address = plain(socket.remoteAddress ?? '');
    const said = headers['x-forwarded-for'];
    const hops = (Array.isArray(said) ? said.join(',') : (said ?? '')).split(',').map((hop) => plain(hop.trim()));
    while (isIP(address) !== 0 && isProxy(address)) {
      const before = hops.pop();
      // What is no address was written by nobody who is believed.
      if (before === undefined || isIP(before) === 0) break;
      address = before;
    }
    return address;
  };
}

function plain(address: string): string {
  return address.replace(/^::ffff:(?=\d+\.)/i, '');
}

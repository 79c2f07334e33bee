import { isIPv6 } from 'node:net';

/** Whom an address stands for when failures are counted: one customer has a whole /64 of IPv6 (RFC 6177), so that is what counts. */
export function networkOf(address: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  if (mapped !== undefined || !isIPv6(address)) return mapped ?? address;
  const [left = '', right = ''] = address.split('%', 1).join('').split('::');
  const head = left === '' ? [] : left.split(':');
  const tail = right === '' ? [] : right.split(':');
  const groups = address.includes('::')
    ? [...head, ...Array<string>(8 - head.length - tail.length).fill('0'), ...tail]
    : head;
  return groups.slice(0, 4).join(':');
}

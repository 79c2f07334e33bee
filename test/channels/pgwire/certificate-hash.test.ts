import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { serverEndPoint } from '../../../src/channels/pgwire/certificate-hash.ts';

function der(tag: number, ...parts: Buffer[]): Buffer {
  const content = Buffer.concat(parts);
  const length = content.length < 128 ? [content.length] : [0x82, content.length >> 8, content.length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...length]), content]);
}

const oid = (hex: string) => der(0x06, Buffer.from(hex, 'hex'));
const NULL = Buffer.from([0x05, 0x00]);

/** As much of a certificate as has to do with its signature's algorithm. */
function certificate(...algorithm: Buffer[]): Buffer {
  return der(0x30, der(0x30, Buffer.alloc(300, 1)), der(0x30, ...algorithm), der(0x03, Buffer.alloc(64)));
}

describe('tls-server-end-point', () => {
  it.each([
    ['MD5 with RSA', 'sha256', [oid('2a864886f70d010104'), NULL]],
    ['SHA-1 with RSA', 'sha256', [oid('2a864886f70d010105'), NULL]],
    ['SHA-256 with RSA', 'sha256', [oid('2a864886f70d01010b'), NULL]],
    ['SHA-384 with RSA', 'sha384', [oid('2a864886f70d01010c'), NULL]],
    ['SHA-512 with RSA', 'sha512', [oid('2a864886f70d01010d'), NULL]],
    ['ECDSA with SHA-384', 'sha384', [oid('2a8648ce3d040303')]],
    ['RSA-PSS by default', 'sha256', [oid('2a864886f70d01010a'), der(0x30)]],
    [
      'RSA-PSS with SHA-512',
      'sha512',
      [oid('2a864886f70d01010a'), der(0x30, der(0xa0, der(0x30, oid('608648016503040203'), NULL)))],
    ],
  ])('is the hash of %s: %s', (_what, hash, algorithm) => {
    const bytes = certificate(...algorithm);
    expect(serverEndPoint(bytes)).toEqual(createHash(hash).update(bytes).digest());
  });

  it.each([
    ['Ed25519, which has no hash of its own', [oid('2b6570')]],
    ['an unknown algorithm', [oid('2a0304')]],
    ['RSA-PSS with an unknown hash', [oid('2a864886f70d01010a'), der(0x30, der(0xa0, der(0x30, oid('2a0304'))))]],
  ])('is nothing for %s', (_what, algorithm) => {
    expect(serverEndPoint(certificate(...algorithm))).toBeUndefined();
  });

  it('stands any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => void serverEndPoint(Buffer.from(bytes))),
      { numRuns: 1000 },
    );
    const good = certificate(oid('2a864886f70d01010b'), NULL);
    for (let end = 0; end < 330; end++) serverEndPoint(good.subarray(0, end));
  });
});

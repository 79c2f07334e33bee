import { createHash } from 'node:crypto';

/**
 * The channel binding `tls-server-end-point` of a certificate: its hash, by the hash of its own signature, where MD5 and
 * SHA-1 are replaced by SHA-256 (RFC 5929 §4.1). `undefined` when the signature has no single hash (Ed25519), or one that
 * is not known here: then no channel binding can be offered.
 *
 * @param certificate in DER.
 */
export function serverEndPoint(certificate: Buffer): Buffer | undefined {
  const hash = signatureHash(certificate);
  return hash === undefined ? undefined : createHash(hash).update(certificate).digest();
}

/** Object identifiers in DER, as hexadecimal: those of RFC 8017 appendix C, RFC 5758 §3.2 and RFC 4055 §2.1. */
const SIGNATURE_HASHES: ReadonlyMap<string, string> = new Map([
  ['2a864886f70d010104', 'sha256'], // md5WithRSAEncryption
  ['2a864886f70d010105', 'sha256'], // sha1WithRSAEncryption
  ['2a864886f70d01010b', 'sha256'],
  ['2a864886f70d01010c', 'sha384'],
  ['2a864886f70d01010d', 'sha512'],
  ['2a864886f70d01010e', 'sha224'],
  ['2a8648ce3d0401', 'sha256'], // ecdsa-with-SHA1
  ['2a8648ce3d040301', 'sha224'],
  ['2a8648ce3d040302', 'sha256'],
  ['2a8648ce3d040303', 'sha384'],
  ['2a8648ce3d040304', 'sha512'],
]);
const RSA_PSS = '2a864886f70d01010a';
const HASHES: ReadonlyMap<string, string> = new Map([
  ['2b0e03021a', 'sha256'], // SHA-1
  ['608648016503040201', 'sha256'],
  ['608648016503040202', 'sha384'],
  ['608648016503040203', 'sha512'],
  ['608648016503040204', 'sha224'],
]);

const OBJECT_IDENTIFIER = 0x06;
const SEQUENCE = 0x30;
const CONTEXT_0 = 0xa0;

/** Certificate ::= SEQUENCE { tbsCertificate, signatureAlgorithm SEQUENCE { algorithm, parameters }, signature } (RFC 5280 §4.1). */
function signatureHash(certificate: Buffer): string | undefined {
  const outer = element(certificate, 0);
  const signed = outer && element(certificate, outer.start);
  const algorithm = signed && element(certificate, signed.end);
  const identifier = algorithm && element(certificate, algorithm.start);
  if (algorithm?.tag !== SEQUENCE || identifier?.tag !== OBJECT_IDENTIFIER) return undefined;
  const name = certificate.toString('hex', identifier.start, identifier.end);
  if (name !== RSA_PSS) return SIGNATURE_HASHES.get(name);

  // RSASSA-PSS-params ::= SEQUENCE { [0] SEQUENCE { hash OBJECT IDENTIFIER, … } DEFAULT sha1, … } (RFC 4055 §3.1)
  const parameters = element(certificate, identifier.end);
  const explicit = parameters && parameters.start < parameters.end ? element(certificate, parameters.start) : undefined;
  if (explicit?.tag !== CONTEXT_0) return 'sha256';
  const hash = element(certificate, explicit.start);
  const hashName = hash && element(certificate, hash.start);
  return hashName === undefined ? undefined : HASHES.get(certificate.toString('hex', hashName.start, hashName.end));
}

/** Where the content of the DER element at `at` starts and ends. */
function element(der: Buffer, at: number): { tag: number; start: number; end: number } | undefined {
  const tag = der[at];
  const first = der[at + 1];
  if (tag === undefined || first === undefined) return undefined;
  const lengthBytes = first < 0x80 ? 0 : first - 0x80;
  const start = at + 2 + lengthBytes;
  if (lengthBytes > 4 || start > der.length) return undefined;
  const end = start + (lengthBytes === 0 ? first : der.readUIntBE(at + 2, lengthBytes));
  return end > der.length ? undefined : { tag, start, end };
}

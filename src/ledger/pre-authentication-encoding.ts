/**
 * What the signature of a DSSE envelope is over (secure-systems-lab/dsse, protocol.md v1.0.2): type and payload with
 * their lengths, so that neither can flow into the other.
 */
export function preAuthenticationEncoding(payloadType: string, payload: Uint8Array): Buffer {
  const head = `DSSEv1 ${Buffer.byteLength(payloadType)} ${payloadType} ${payload.length} `;
  return Buffer.concat([Buffer.from(head, 'utf8'), payload]);
}

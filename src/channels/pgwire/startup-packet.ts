import { ProtocolViolation, reading } from '../../engines/postgres/wire-messages.ts';

/** The first thing a client says: a packet without a type byte (PostgreSQL, "Start-up"). */
export type StartupPacket =
  | { readonly packet: 'ssl' | 'gssenc' }
  | { readonly packet: 'cancel'; readonly processId: number; readonly secret: Buffer }
  | { readonly packet: 'unsupported version'; readonly version: string }
  | {
      readonly packet: 'startup';
      readonly minor: number;
      readonly parameters: ReadonlyMap<string, string>;
      /** Names of the `_pq_.` options: none is known here. */
      readonly options: readonly string[];
    };

/** Length and code included; PostgreSQL's own limit. */
export const MAX_STARTUP_BYTES = 10_000;
export const MIN_STARTUP_BYTES = 8;

const CANCEL_REQUEST = 80_877_102;
const SSL_REQUEST = 80_877_103;
const GSSENC_REQUEST = 80_877_104;
const MAX_SECRET_BYTES = 256;
const OPTION_PREFIX = '_pq_.';

/**
 * Reads a packet without its length.
 *
 * @throws ProtocolViolation when its content doesn't fit its length, a text is not UTF-8 or a parameter comes twice.
 */
export function readStartupPacket(body: Buffer): StartupPacket {
  const cursor = reading(body);
  const code = cursor.int32();
  if (code === SSL_REQUEST || code === GSSENC_REQUEST) {
    cursor.end();
    return { packet: code === SSL_REQUEST ? 'ssl' : 'gssenc' };
  }
  if (code === CANCEL_REQUEST) {
    const processId = cursor.int32();
    const secret = cursor.bytes(cursor.left());
    if (secret.length < 4 || secret.length > MAX_SECRET_BYTES)
      throw new ProtocolViolation('a cancel key has an impossible length');
    return { packet: 'cancel', processId, secret };
  }
  const major = code >>> 16;
  const minor = code & 0xffff;
  if (major !== 3) return { packet: 'unsupported version', version: `${major}.${minor}` };

  const parameters = new Map<string, string>();
  const options: string[] = [];
  for (let name = cursor.text(); name !== ''; name = cursor.text()) {
    const value = cursor.text();
    if (name.startsWith(OPTION_PREFIX)) options.push(name);
    else if (parameters.has(name)) throw new ProtocolViolation(`the parameter ${name} comes twice`);
    else parameters.set(name, value);
  }
  cursor.end();
  return { packet: 'startup', minor, parameters, options };
}

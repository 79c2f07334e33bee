import { createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { SCRAM_ITERATIONS, SCRAM_SALT_BYTES, type ScramVerifier } from '../../domain/scram.ts';

/**
 * The server's side of SCRAM-SHA-256 and SCRAM-SHA-256-PLUS (RFC 5802, RFC 7677) as a state machine without I/O: each
 * step gives the next one, and no step can be taken twice or out of order.
 */
export interface ScramStart {
  /** What is offered, the strongest first. */
  readonly mechanisms: readonly string[];
  clientFirst(mechanism: string, message: string): ScramStep | ScramFailure;
}

interface ScramStep {
  readonly outcome: 'continue';
  /** The server-first-message. */
  readonly message: string;
  clientFinal(message: string): ScramSuccess | ScramFailure;
}

interface ScramSuccess {
  readonly outcome: 'authenticated';
  /** The server-final-message, by which the client knows that the server has the verifier. */
  readonly message: string;
}

export interface ScramFailure {
  readonly outcome: 'failed';
  /** `credentials`: a wrong secret or an unknown user, which must not be told apart. */
  readonly because: 'credentials' | 'protocol';
  readonly why: string;
}

export interface ScramOptions {
  readonly verifier: ScramVerifier;
  /** Whether the verifier is somebody's. With `false` the exchange goes its whole way and then fails. */
  readonly known: boolean;
  /** What the TLS connection is known by; `undefined` without TLS or without anything to bind to. */
  readonly endPoint: Buffer | undefined;
  /** The server's part of the nonce: printable, without a comma. Random unless a test says otherwise. */
  readonly nonce?: string;
}

const PLAIN = 'SCRAM-SHA-256';
const PLUS = 'SCRAM-SHA-256-PLUS';
const BINDING = 'tls-server-end-point';
const NONCE_BYTES = 18;

export function startScram(options: ScramOptions): ScramStart {
  const { endPoint, nonce = randomBytes(NONCE_BYTES).toString('base64') } = options;
  const mechanisms = endPoint === undefined ? [PLAIN] : [PLUS, PLAIN];
  return {
    mechanisms,
    clientFirst(mechanism, message) {
      if (!mechanisms.includes(mechanism)) return protocol(`the mechanism is none of ${mechanisms.join(', ')}`);
      const first =
        /^((p=([A-Za-z0-9.-]+)|n|y),(a=[^,]*)?,)((?:n=[^,]*),r=([\x21-\x2b\x2d-\x7e]+)(?:,[A-Za-z]=[^,]*)*)$/.exec(
          message,
        );
      const [, gs2Header = '', flag = '', binding, authorization, bare = '', clientNonce = ''] = first ?? [];
      if (first === null) return protocol('the client-first-message is malformed');
      if (authorization !== undefined) return protocol('an authorization identity is not supported');
      const wrong = wrongBinding(flag, binding, mechanism, endPoint);
      if (wrong !== null) return protocol(wrong);
      const wholeNonce = clientNonce + nonce;
      const { verifier } = options;
      const serverFirst = `r=${wholeNonce},s=${Buffer.from(verifier.salt).toString('base64')},i=${verifier.iterations}`;
      const bound = Buffer.concat([
        Buffer.from(gs2Header),
        mechanism === PLUS && endPoint ? endPoint : Buffer.alloc(0),
      ]);
      return {
        outcome: 'continue',
        message: serverFirst,
        clientFinal: (final) => checkFinal(final, { bare, serverFirst, wholeNonce, bound }, options),
      };
    },
  };
}

/** What the client says of channel binding must fit the mechanism, and a stripped offer must be noticed (RFC 5802 §6). */
function wrongBinding(
  flag: string,
  binding: string | undefined,
  mechanism: string,
  endPoint: Buffer | undefined,
): string | null {
  if (mechanism === PLUS) {
    if (binding === undefined) return `${PLUS} without channel binding`;
    return binding === BINDING ? null : `channel binding ${binding} is not supported; ${BINDING} is`;
  }
  if (binding !== undefined) return `channel binding with ${PLAIN}`;
  if (flag === 'y' && endPoint !== undefined)
    return 'the client did not see the offer of channel binding: it was tampered with';
  return null;
}

function checkFinal(
  message: string,
  said: { readonly bare: string; readonly serverFirst: string; readonly wholeNonce: string; readonly bound: Buffer },
  { verifier, known }: ScramOptions,
): ScramSuccess | ScramFailure {
  const final = /^(c=([A-Za-z0-9+/=]+),r=([\x21-\x2b\x2d-\x7e]+)(?:,[A-Za-z]=[^,]*)*),p=([A-Za-z0-9+/]{43}=)$/.exec(
    message,
  );
  const [, withoutProof = '', binding = '', nonce = '', proofText = ''] = final ?? [];
  if (final === null) return protocol('the client-final-message is malformed');
  if (binding !== said.bound.toString('base64')) return protocol('the channel binding is not that of this connection');
  if (nonce !== said.wholeNonce) return protocol('the nonce is not that of this exchange');
  const proof = Buffer.from(proofText, 'base64');
  if (proof.toString('base64') !== proofText) return protocol('the proof is not canonical Base64');

  const authMessage = `${said.bare},${said.serverFirst},${withoutProof}`;
  const clientSignature = createHmac('sha256', verifier.storedKey).update(authMessage).digest();
  const clientKey = Buffer.from(clientSignature.map((byte, index) => byte ^ (proof[index] ?? 0)));
  const right = timingSafeEqual(createHash('sha256').update(clientKey).digest(), verifier.storedKey);
  const serverSignature = createHmac('sha256', verifier.serverKey).update(authMessage).digest('base64');
  if (!right || !known)
    return { outcome: 'failed', because: 'credentials', why: 'the proof is wrong or the user unknown' };
  return { outcome: 'authenticated', message: `v=${serverSignature}` };
}

function protocol(why: string): ScramFailure {
  return { outcome: 'failed', because: 'protocol', why };
}

/**
 * A verifier for a user who doesn't exist, always the same for the same name, as a real one is: with it the exchange
 * looks and takes like one with a wrong secret. Nobody has the secret that it verifies.
 */
export function mockScramVerifier(secret: Uint8Array, user: string): ScramVerifier {
  const derive = (what: string) => createHmac('sha256', secret).update(`${what}\0${user}`).digest();
  return {
    salt: derive('salt').subarray(0, SCRAM_SALT_BYTES),
    iterations: SCRAM_ITERATIONS,
    storedKey: derive('stored key'),
    serverKey: derive('server key'),
  };
}

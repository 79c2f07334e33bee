import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import type { ScramVerifier } from '../../domain/scram.ts';
import { FRAME_HEADER_BYTES } from '../../engines/postgres/wire-frames.ts';
import { ProtocolViolation } from '../../engines/postgres/wire-messages.ts';
import {
  authenticationSasl,
  fatal,
  fatalRefusal,
  readSaslInitialResponse,
  readSaslResponse,
  saslContinue,
  saslFinal,
} from './messages.ts';
import { mockScramVerifier, type ScramFailure, startScram } from './scram-server.ts';
import { createStartupInput, type StartupInput } from './startup-input.ts';

export type Authentication =
  /** Bytes that came after the client's last message are in `rest`. AuthenticationOk is still to be sent. */
  | { readonly authenticated: true; readonly rest: Buffer }
  /** `penalty`: somebody tried a secret, so the answer is to be slowed down. No refusal when the client went away. */
  | { readonly authenticated: false; readonly why: string; readonly refusal?: Buffer; readonly penalty: boolean };

export interface AuthenticationRequest {
  readonly socket: Socket;
  readonly rest: Buffer;
  readonly user: string;
  /** What the TLS connection is known by, for channel binding. */
  readonly endPoint: Buffer | undefined;
  /** Looks up a user's verifier; `undefined` for an unknown one. Called for every user alike. */
  readonly verifierOf: (user: string) => Promise<ScramVerifier | undefined>;
  /** What the verifiers of unknown users are derived from. */
  readonly mockSecret: Uint8Array;
}

/** PostgreSQL's own limit for a SASL message. */
const MAX_SASL_BYTES = 1024;
const SASL_RESPONSE = 0x70;

/**
 * Authenticates a client by SCRAM (PostgreSQL, "SASL Authentication"). Unknown users and wrong secrets take the same way
 * and get the same answer. When verifiers can't be looked up, nobody is let in.
 */
export async function authenticate(request: AuthenticationRequest): Promise<Authentication> {
  const { socket, user } = request;
  const input = createStartupInput(socket, request.rest);
  try {
    const verifier = await request.verifierOf(user);
    const scram = startScram({
      verifier: verifier ?? mockScramVerifier(request.mockSecret, user),
      known: verifier !== undefined,
      endPoint: socket instanceof TLSSocket ? request.endPoint : undefined,
    });
    socket.write(authenticationSasl(scram.mechanisms));

    const initial = await readResponse(input);
    if (initial === null) return left();
    const { mechanism, message } = readSaslInitialResponse(initial);
    const step = scram.clientFirst(mechanism, message);
    if (step.outcome === 'failed') return failed(step, user);
    socket.write(saslContinue(step.message));

    const final = await readResponse(input);
    if (final === null) return left();
    const done = step.clientFinal(readSaslResponse(final));
    if (done.outcome === 'failed') return failed(done, user);
    socket.write(saslFinal(done.message));
    return { authenticated: true, rest: input.release() };
  } catch (error) {
    if (error instanceof ProtocolViolation)
      return failed({ outcome: 'failed', because: 'protocol', why: error.message }, user);
    return {
      authenticated: false,
      why: error instanceof Error ? error.message : String(error),
      refusal: fatalRefusal({
        refused: 'unavailable',
        message: 'Tasks can not be looked up, so nobody is let in.',
        hint: 'Try again; if it lasts, see the log of the gateway.',
      }),
      penalty: false,
    };
  } finally {
    input.release();
  }
}

async function readResponse(input: StartupInput): Promise<Buffer | null> {
  const header = await input.read(FRAME_HEADER_BYTES);
  if (header === null) return null;
  const bodyBytes = header.readInt32BE(1) - 4;
  if (header[0] !== SASL_RESPONSE) throw new ProtocolViolation('a SASL response was expected');
  if (bodyBytes < 0 || bodyBytes > MAX_SASL_BYTES) {
    throw new ProtocolViolation(`a SASL response has at most ${MAX_SASL_BYTES} bytes`);
  }
  return input.read(bodyBytes);
}

function left(): Authentication {
  return { authenticated: false, why: 'the client left before it had authenticated', penalty: false };
}

function failed({ because, why }: ScramFailure, user: string): Authentication {
  const refusal =
    because === 'credentials'
      ? fatal({
          sqlstate: '28P01',
          message: `password authentication failed for user "${user}"`,
          hint: 'The user is the task, the password its token; a task that has ended is unknown.',
        })
      : fatal({ sqlstate: '08P01', message: `SASL authentication failed: ${why}` });
  return { authenticated: false, why, refusal, penalty: true };
}

import { createHash, createHmac, pbkdf2Sync } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { mockScramVerifier, startScram } from '../../../src/channels/pgwire/scram-server.ts';
import { makeScramVerifier, type ScramVerifier } from '../../../src/domain/scram.ts';

const CLIENT_NONCE = 'rOprNGfwEbeRWgbNEkqO';
const SERVER_NONCE = '%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0';
const END_POINT = createHash('sha256').update('certificate').digest();

function verifierOf(secret: string): ScramVerifier {
  return makeScramVerifier(secret, Buffer.from('W22ZaJ0SNY7soEsUEjb6gQ==', 'base64'));
}

/** A client by RFC 5802, written from the other side. */
function clientFinal(secret: string, gs2: string, binding: Buffer, serverFirst: string, firstBare: string): string {
  const [, nonce = '', salt = '', iterations = ''] = /^r=(.*),s=(.*),i=(\d+)$/.exec(serverFirst) ?? [];
  const salted = pbkdf2Sync(secret, Buffer.from(salt, 'base64'), Number(iterations), 32, 'sha256');
  const clientKey = createHmac('sha256', salted).update('Client Key').digest();
  const storedKey = createHash('sha256').update(clientKey).digest();
  const channel = Buffer.concat([Buffer.from(gs2), binding]).toString('base64');
  const withoutProof = `c=${channel},r=${nonce}`;
  const signature = createHmac('sha256', storedKey).update(`${firstBare},${serverFirst},${withoutProof}`).digest();
  return `${withoutProof},p=${Buffer.from(clientKey.map((byte, index) => byte ^ (signature[index] ?? 0))).toString('base64')}`;
}

function exchange(options: {
  known?: boolean;
  verifier?: ScramVerifier;
  endPoint?: Buffer;
  mechanism?: string;
  gs2?: string;
  binding?: Buffer;
  secret?: string;
}) {
  const scram = startScram({
    verifier: options.verifier ?? verifierOf('pencil'),
    known: options.known ?? true,
    endPoint: options.endPoint,
    nonce: SERVER_NONCE,
  });
  const gs2 = options.gs2 ?? 'n,,';
  const bare = `n=user,r=${CLIENT_NONCE}`;
  const step = scram.clientFirst(options.mechanism ?? 'SCRAM-SHA-256', `${gs2}${bare}`);
  if (step.outcome === 'failed') return step;
  return step.clientFinal(
    clientFinal(options.secret ?? 'pencil', gs2, options.binding ?? Buffer.alloc(0), step.message, bare),
  );
}

describe('SCRAM-SHA-256', () => {
  it('speaks the example of RFC 7677 word for word', () => {
    const scram = startScram({ verifier: verifierOf('pencil'), known: true, endPoint: undefined, nonce: SERVER_NONCE });
    expect(scram.mechanisms).toEqual(['SCRAM-SHA-256']);
    const step = scram.clientFirst('SCRAM-SHA-256', `n,,n=user,r=${CLIENT_NONCE}`);
    expect(step).toMatchObject({
      outcome: 'continue',
      message: `r=${CLIENT_NONCE}${SERVER_NONCE},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096`,
    });
    if (step.outcome !== 'continue') return;
    expect(
      step.clientFinal(`c=biws,r=${CLIENT_NONCE}${SERVER_NONCE},p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=`),
    ).toEqual({ outcome: 'authenticated', message: 'v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=' });
  });

  it('tells a wrong secret and an unknown user in the same words', () => {
    const wrong = exchange({ secret: 'crayon' });
    const unknown = exchange({ known: false, verifier: mockScramVerifier(Buffer.from('s'), 'user') });
    expect(wrong).toEqual(unknown);
    expect(wrong).toMatchObject({ outcome: 'failed', because: 'credentials' });
  });

  it('lets nobody in under a mock, even with a proof that is right for it', () => {
    expect(exchange({ known: false })).toMatchObject({ outcome: 'failed', because: 'credentials' });
  });

  it('mocks the same salt for the same unknown user, as a real one would show', () => {
    const secret = Buffer.from('process secret');
    const real = makeScramVerifier('x');
    const mock = mockScramVerifier(secret, 'a');
    expect(mockScramVerifier(secret, 'a')).toEqual(mock);
    expect(mockScramVerifier(secret, 'b').salt).not.toEqual(mock.salt);
    expect(mockScramVerifier(Buffer.from('another'), 'a').salt).not.toEqual(mock.salt);
    expect(mock.salt.length).toBe(real.salt.length);
    expect(mock.iterations).toBe(real.iterations);
    expect(mock.storedKey.length).toBe(real.storedKey.length);
  });

  it('never gives two exchanges the same nonce', () => {
    const first = () => {
      const step = startScram({ verifier: verifierOf('pencil'), known: true, endPoint: undefined }).clientFirst(
        'SCRAM-SHA-256',
        'n,,n=,r=abc',
      );
      return step.outcome === 'continue' ? step.message : '';
    };
    expect(first()).not.toBe(first());
  });
});

describe('channel binding', () => {
  const bound = {
    endPoint: END_POINT,
    mechanism: 'SCRAM-SHA-256-PLUS',
    gs2: 'p=tls-server-end-point,,',
    binding: END_POINT,
  };

  it('is offered first, and only where there is something to bind to', () => {
    const offer = (endPoint: Buffer | undefined) =>
      startScram({ verifier: verifierOf('p'), known: true, endPoint }).mechanisms;
    expect(offer(END_POINT)).toEqual(['SCRAM-SHA-256-PLUS', 'SCRAM-SHA-256']);
    expect(offer(undefined)).toEqual(['SCRAM-SHA-256']);
  });

  it('lets in who bound to this connection', () => {
    expect(exchange(bound)).toMatchObject({ outcome: 'authenticated' });
  });

  it.each([
    ['who bound to another connection', { ...bound, binding: createHash('sha256').update('another').digest() }],
    ['who bound to nothing', { ...bound, binding: Buffer.alloc(0) }],
    ['another kind of binding', { ...bound, gs2: 'p=tls-unique,,' }],
    ['PLUS without a binding', { ...bound, gs2: 'n,,' }],
    ['a binding without PLUS', { ...bound, mechanism: 'SCRAM-SHA-256' }],
    ['a client that was kept from seeing the offer', { endPoint: END_POINT, gs2: 'y,,' }],
    ['PLUS where it was not offered', { mechanism: 'SCRAM-SHA-256-PLUS', gs2: 'p=tls-server-end-point,,' }],
  ])('refuses %s', (_what, options) => {
    expect(exchange(options)).toMatchObject({ outcome: 'failed', because: 'protocol' });
  });

  it('lets in a client that can bind where it was not offered', () => {
    expect(exchange({ gs2: 'y,,' })).toMatchObject({ outcome: 'authenticated' });
  });
});

describe('malformed SCRAM messages', () => {
  const start = () =>
    startScram({ verifier: verifierOf('pencil'), known: true, endPoint: undefined, nonce: SERVER_NONCE });

  it.each([
    '',
    'n',
    'n,,',
    'n,,n=user',
    'n,,r=abc',
    'n,,n=user,r=',
    'x,,n=user,r=abc',
    'n,,m=ext,n=user,r=abc',
    'n,a=admin,n=user,r=abc',
    'n,,n=us,er,r=abc',
    'n,,n=user,r=a c',
    'n,,n=user,r=abc,',
    'p=,,n=user,r=abc',
  ])('refuses the first message %j', (first) => {
    expect(start().clientFirst('SCRAM-SHA-256', first)).toMatchObject({ outcome: 'failed', because: 'protocol' });
  });

  it('refuses a mechanism that was not offered', () => {
    expect(start().clientFirst('SCRAM-SHA-1', 'n,,n=,r=abc')).toMatchObject({ outcome: 'failed' });
  });

  it('refuses every proof but the right one, whatever the final message', () => {
    fc.assert(
      fc.property(fc.string(), fc.nat(), fc.nat(255), (noise, place, byte) => {
        const step = start().clientFirst('SCRAM-SHA-256', `n,,n=user,r=${CLIENT_NONCE}`);
        if (step.outcome !== 'continue') throw new Error('the first message was good');
        const right = `c=biws,r=${CLIENT_NONCE}${SERVER_NONCE},p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=`;
        const at = place % right.length;
        const changed = right.slice(0, at) + String.fromCharCode(byte) + right.slice(at + 1);
        if (changed !== right) expect(step.clientFinal(changed).outcome).toBe('failed');
        expect(step.clientFinal(noise).outcome).toBe('failed');
      }),
      { numRuns: 500 },
    );
  });
});

describe('verifiers', () => {
  it.each(['', 'pässword', 'a\0b', 'a\nb', '\u00a0'])('refuse the token %j, which would need SASLprep', (token) => {
    expect(() => makeScramVerifier(token)).toThrow();
  });

  it('have a salt of their own', () => {
    expect(makeScramVerifier('token').salt).not.toEqual(makeScramVerifier('token').salt);
  });
});

import { isValidSlackRequest } from '@slack/bolt';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type SignedCallback, verifySlackSignature } from '../../src/identity/slack-signature.ts';
import { signedBySlack } from '../fixtures/slack.ts';

const NOW = Date.parse('2026-11-21T12:00:00Z');
const SECRET = '8f742231b10e8888abcd99yyyzzz85a5';

const ours = ({ body, timestamp, signature }: SignedCallback, secret = SECRET) =>
  'callback' in verifySlackSignature({ body, timestamp, signature }, secret, NOW);
/** Slack's own check (`@slack/bolt`), of the same request at the same time. */
const slacks = ({ body, timestamp = '', signature = '' }: SignedCallback, signingSecret = SECRET) =>
  isValidSlackRequest({
    signingSecret,
    body: body.toString('utf8'),
    headers: { 'x-slack-signature': signature, 'x-slack-request-timestamp': timestamp as never },
    nowMilliseconds: NOW,
  });

function signed(body: string, atMs = NOW, secret = SECRET): SignedCallback {
  const { headers } = signedBySlack(body, secret, atMs);
  return {
    body: Buffer.from(body, 'utf8'),
    timestamp: headers['x-slack-request-timestamp'],
    signature: headers['x-slack-signature'],
  };
}

describe('a signature of Slack', () => {
  it('is the one of Slack’s documentation', () => {
    // https://docs.slack.dev/authentication/verifying-requests-from-slack
    const body =
      'token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c';
    const documented = {
      body: Buffer.from(body),
      timestamp: '1531420618',
      signature: 'v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503',
    };
    expect(verifySlackSignature(documented, SECRET, 1_531_420_618_000)).toHaveProperty('callback');
  });

  it('counts exactly where Slack’s own package says so, whatever is changed', () => {
    const edit = fc.constantFrom<(of: SignedCallback) => SignedCallback>(
      (of) => of,
      (of) => ({ ...of, body: Buffer.concat([of.body, Buffer.from(' ')]) }),
      (of) => ({ ...of, timestamp: String(Number(of.timestamp) + 1) }),
      (of) => ({ ...of, signature: of.signature?.replace('v0', 'v1') }),
      (of) => ({ ...of, signature: of.signature?.slice(0, -1) }),
      (of) => ({ ...of, signature: of.signature?.toUpperCase() }),
      (of) => ({ ...of, signature: '' }),
    );
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), fc.integer({ min: -600, max: 0 }), edit, (body, agoSec, change) => {
        const each = change(signed(body, NOW + agoSec * 1000));
        expect(ours(each)).toBe(slacks(each));
      }),
      { numRuns: 300 },
    );
    expect(ours(signed('a', NOW, 'another'))).toBe(false);
  });

  it('counts for nothing without its parts, from the future, or where there is no secret', () => {
    const valid = signed('payload=x');
    expect(ours(valid)).toBe(true);
    for (const change of [
      { timestamp: undefined },
      { signature: undefined },
      { timestamp: '1e9' },
      { timestamp: '-1' },
    ])
      expect(ours({ ...valid, ...change })).toBe(false);
    expect(ours(signed('payload=x', NOW + 301_000))).toBe(false);
    expect(ours(signed('payload=x', NOW - 301_000))).toBe(false);
    expect(verifySlackSignature(signed('x', NOW, ''), '', NOW)).toHaveProperty('why');
  });
});

import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Logger } from 'pino';
import type { ReceivedClick } from '../../identity/slack-clicks.ts';
import type { SignedCallback } from '../../identity/slack-signature.ts';
import { sendError } from './http-error.ts';

/** Takes what Slack calls back with. What comes of it goes on by itself: Slack waits for three seconds. */
export type ReceiveCallback = (callback: SignedCallback) => Promise<Pick<ReceivedClick, 'received'> & { why?: string }>;

/** The message with its blocks comes back in it; ours take up a tenth of this. */
const BODY_LIMIT_BYTES = 256 * 1024;

/**
 * `POST /slack/actions`: clicks on buttons in Slack. The body is kept as it came, because its bytes are what is signed; who
 * has not Slack's signature learns nothing but that.
 */
export async function serveSlack(app: FastifyInstance, receive: ReceiveCallback, log: Logger): Promise<void> {
  await app.register(async (scope) => {
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser(
      'application/x-www-form-urlencoded',
      { parseAs: 'buffer', bodyLimit: BODY_LIMIT_BYTES },
      async (_request: unknown, body: Buffer) => body,
    );
    scope.post('/slack/actions', { bodyLimit: BODY_LIMIT_BYTES }, async (request, reply) => {
      const { received, why = '' } = await receive({
        body: Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0),
        timestamp: headerOf(request, 'x-slack-request-timestamp'),
        signature: headerOf(request, 'x-slack-signature'),
      });
      switch (received) {
        case 'click':
        case 'nothing to decide':
          return reply.code(200).send();
        case 'again':
          return refused(reply, 409, 'received_before', why);
        case 'not signed':
          log.warn({ remote: request.ip, why }, 'a request that is not Slack’s was turned away');
          return refused(reply, 401, 'not_signed', why);
        case 'no slack':
          return refused(reply, 404, 'no_slack', why);
        default:
          return received satisfies never;
      }
    });
  });
}

function headerOf({ headers }: FastifyRequest, name: string): string | undefined {
  const header = headers[name];
  return typeof header === 'string' ? header : undefined;
}

async function refused(reply: FastifyReply, status: number, code: string, why: string): Promise<FastifyReply> {
  return sendError(reply, status, {
    code,
    message: `This is no click that counts: ${why}.`,
    hint: 'docs/slack.md says how Slack is connected; countersign doctor looks whether it is.',
  });
}

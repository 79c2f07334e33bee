import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { Webhook } from 'standardwebhooks';
import type { Json } from '../domain/digest.ts';
import type { Receiver } from '../domain/notice.ts';

/** What somebody should hear of who is not looking. */
export interface Notification {
  readonly type: 'redteam.regression' | 'drill.failed';
  readonly data: { readonly [key: string]: Json };
}

/** Where it goes. */
export interface WebhookReceiver {
  readonly url: string;
  /** `whsec_` and base64, shared with the receiver; read when it is needed. */
  readonly secret: { reveal(): string };
}

export interface Undelivered {
  readonly url: string;
  readonly why: string;
}

const WAITS_MS = [500, 2000, 8000];
const ANSWER_WITHIN_MS = 10_000;

/**
 * Sends a notification to all receivers, signed as Standard Webhooks says (https://www.standardwebhooks.com): the same id
 * in each attempt, so that whoever gets it twice can tell. An answer of 2xx ends it; otherwise it is tried again, four
 * times in all.
 *
 * @returns who did not take it, and why; never throws for a receiver that is away.
 */
export async function sendToWebhooks(
  receivers: readonly WebhookReceiver[],
  { type, data }: Notification,
  { now = Date.now, waitsMs = WAITS_MS }: { readonly now?: () => number; readonly waitsMs?: readonly number[] } = {},
): Promise<readonly Undelivered[]> {
  const at = new Date(now());
  const id = `msg_${randomBytes(16).toString('base64url')}`;
  const body = JSON.stringify({ type, timestamp: at.toISOString(), data });
  const ended = await Promise.all(
    receivers.map(async (receiver): Promise<readonly Undelivered[]> => {
      for (let attempt = 0; ; attempt++) {
        const why = await attemptOnce(receiver, { id, at: new Date(now()), body });
        if (why === undefined) return [];
        const waitMs = waitsMs[attempt];
        if (waitMs === undefined) return [{ url: receiver.url, why }];
        await sleep(waitMs);
      }
    }),
  );
  return ended.flat();
}

/** A webhook to which every notice goes, tried again by the outbox. */
export function webhookTo(receiver: WebhookReceiver): Receiver {
  return {
    name: `webhook:${receiver.url}`,
    wants: () => true,
    async send({ id, notice }) {
      const { type, at, headline, entry, data } = notice;
      const body = JSON.stringify({ type, timestamp: at, data: { headline, entry, ...data } });
      const why = await attemptOnce(receiver, { id, at: new Date(), body });
      return why === undefined ? { taken: true } : { taken: false, why };
    },
  };
}

/** @returns why it was not taken. The moment in the signature is that of the attempt: receivers refuse old ones. */
async function attemptOnce(
  { url, secret }: WebhookReceiver,
  { id, at, body }: { readonly id: string; readonly at: Date; readonly body: string },
): Promise<string | undefined> {
  const signature = signed(secret, (webhook) => webhook.sign(id, at, body));
  if (typeof signature !== 'string') return signature.why;
  return post(
    url,
    {
      'content-type': 'application/json',
      'webhook-id': id,
      'webhook-timestamp': String(Math.floor(at.getTime() / 1000)),
      'webhook-signature': signature,
    },
    body,
  );
}

/** A secret that can't be read keeps this one from going, and nothing else. */
function signed(
  secret: WebhookReceiver['secret'],
  sign: (webhook: Webhook) => string,
): string | { readonly why: string } {
  try {
    return sign(new Webhook(secret.reveal()));
  } catch (error) {
    return { why: `its secret can't be used: ${error instanceof Error ? error.message : String(error)}` };
  }
}

async function post(url: string, headers: Record<string, string>, body: string): Promise<string | undefined> {
  try {
    // A redirect could lead anywhere; a receiver has one address.
    const answer = await fetch(url, {
      method: 'POST',
      headers,
      body,
      redirect: 'error',
      signal: AbortSignal.timeout(ANSWER_WITHIN_MS),
    });
    await answer.body?.cancel();
    return answer.ok ? undefined : `it answered ${answer.status}`;
  } catch (error) {
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
    return cause instanceof Error ? cause.message : String(cause);
  }
}

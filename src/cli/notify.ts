import type { Config } from '../config/load.ts';
import { type Notification, sendToWebhooks } from '../notify/webhooks.ts';

/** Tells whoever the configuration names. What can't be delivered is said here, and changes nothing else. */
export async function notify({ webhooks }: Config, notification: Notification): Promise<void> {
  for (const { url, why } of await sendToWebhooks(webhooks, notification))
    process.stderr.write(`The notification ${notification.type} was not taken by ${url}: ${why}\n`);
}

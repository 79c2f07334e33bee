import { createSecretGuard } from '../domain/secrets.ts';
import { visible } from '../domain/visible.ts';

/**
 * Text for Slack's mrkdwn. What was written by an agent or comes from a database is data there: it stands between
 * backticks, where nothing is bold, a link or an emoji, with `&`, `<` and `>` escaped, so that it mentions nobody
 * (https://docs.slack.dev/messaging/formatting-message-text). What looks like a secret is taken out.
 *
 * @param most how many characters it may take up, as it is sent.
 */
export function asCode(text: string, most = 1000): string {
  return `\`${escaped(plainly(text).replaceAll('`', '′'), most - 2)}\``;
}

/** The same where mrkdwn isn't marked up any further: the line of a notification. */
export function asText(text: string, most = 1000): string {
  return escaped(plainly(text), most);
}

function plainly(text: string): string {
  // Slack takes no empty text.
  return text.trim() === '' ? '∅' : visible(createSecretGuard('redact').guard(text));
}

function escaped(text: string, most: number): string {
  let made = '';
  for (const character of text) {
    const next = ESCAPES[character] ?? character;
    if (made.length + next.length > most - 1) return `${made}…`;
    made += next;
  }
  return made;
}

const ESCAPES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;' };

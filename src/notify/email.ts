import { createTransport } from 'nodemailer';
import type { Message, Notice, Receiver, Sent } from '../domain/notice.ts';

/** Where mail is handed over (RFC 5321, RFC 6409). */
export interface MailServer {
  /** `smtps://host:465`, or `smtp://host:587`, which then must offer STARTTLS unless it is on this machine. */
  readonly url: string;
  readonly user: string | null;
  readonly password: { reveal(): string } | null;
  readonly from: string;
}

const PATIENCE_MS = 10_000;

/** Mail to one person. @param wants which notices concern them. */
export function mailTo(
  person: { readonly id: string; readonly email: string },
  server: MailServer,
  wants: (notice: Notice) => boolean,
): Receiver {
  return { name: `email:${person.id}`, wants, send: (message) => send(message, person.email, server) };
}

async function send({ id, notice }: Message, to: string, server: MailServer): Promise<Sent> {
  const { hostname, port, protocol } = new URL(server.url);
  const secure = protocol === 'smtps:';
  const transport = createTransport({
    host: hostname,
    port: Number(port) || (secure ? 465 : 587),
    secure,
    requireTLS: !secure && !LOCAL.has(hostname),
    ...(server.user === null ? {} : { auth: { user: server.user, pass: server.password?.reveal() ?? '' } }),
    connectionTimeout: PATIENCE_MS,
    greetingTimeout: PATIENCE_MS,
    socketTimeout: PATIENCE_MS,
  });
  try {
    await transport.sendMail({
      from: server.from,
      to,
      // Whoever gets it twice sees it once.
      messageId: `<${id}@countersign>`,
      subject: subjectOf(notice),
      text: textOf(notice),
      headers: { 'Auto-Submitted': 'auto-generated' },
    });
    return { taken: true };
  } catch (error) {
    return { taken: false, why: error instanceof Error ? error.message : String(error) };
  } finally {
    transport.close();
  }
}

const LOCAL = new Set(['127.0.0.1', 'localhost', '[::1]']);

function subjectOf({ type, headline, data }: Notice): string {
  const where = typeof data['environment'] === 'string' ? `[${data['environment']}] ` : '';
  const what = type === 'plan.held' || type === 'plan.escalated' ? 'Waits for you: ' : '';
  return `${where}${what}${headline}`.slice(0, 200);
}

/** What a tired person must know, in the order in which they ask. */
function textOf({ headline, data }: Notice): string {
  const line = (label: string, key: string) =>
    typeof data[key] === 'string' ? [`${label.padEnd(13)}${data[key]}`] : [];
  return [
    headline,
    '',
    ...line('environment', 'environment'),
    ...line('target', 'target'),
    ...line('owner', 'owner'),
    ...line('asked by', 'agent'),
    ...line('for', 'onBehalfOf'),
    ...line('purpose', 'purpose'),
    ...line('way back', 'wayBack'),
    ...line('by', 'person'),
    ...line('reason', 'reason'),
    ...line('incident', 'incident'),
    ...line('review it', 'review'),
    ...line('until', 'expiresAt'),
    ...line('plan', 'plan'),
    '',
    ...(typeof data['url'] === 'string' ? [`Look at it and decide: ${data['url']}`] : []),
    'An answer to this mail reaches nobody, and decides nothing.',
    '',
  ].join('\n');
}

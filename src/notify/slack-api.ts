import type { WebClient } from '@slack/web-api';
import type { SlackPlace } from '../domain/clicks.ts';
import type { SlackMessage } from './slack-message.ts';

/** Where a workspace is talked to, and as whom. */
export interface SlackApp {
  readonly token: { reveal(): string };
  /** `https://slack.com/api/`, or another that answers like it. */
  readonly api: string;
}

export type Answered<Answer> =
  | { readonly ok: true; readonly answer: Answer }
  /** `code` is Slack's own where it answered. `awayForMs`: there is no use in asking sooner, whatever for. */
  | { readonly ok: false; readonly code: string; readonly why: string; readonly awayForMs?: number };

const PATIENCE_MS = 5000;
/** As nothing is to become of a mention in what was not written by us. */
const LITERALLY = { parse: 'none', link_names: false, unfurl_links: false, unfurl_media: false } as const;

export function postMessage(app: SlackApp, channel: string, message: SlackMessage): Promise<Answered<SlackPlace>> {
  return asked(app, async ({ chat }) => {
    const { channel: where = channel, ts = '' } = await chat.postMessage({ channel, ...LITERALLY, ...bodyOf(message) });
    return { channel: where, ts };
  });
}

export function updateMessage(app: SlackApp, posted: SlackPlace, message: SlackMessage): Promise<Answered<SlackPlace>> {
  return asked(app, async ({ chat }) => {
    await chat.update({ ...posted, parse: 'none', link_names: false, ...bodyOf(message) });
    return posted;
  });
}

/** Tells one user something that nobody else in the channel sees. */
export function whisper(app: SlackApp, to: { channel: string; user: string }, text: string): Promise<Answered<null>> {
  return asked(app, async ({ chat }) => {
    await chat.postEphemeral({ ...to, parse: 'none', link_names: false, text });
    return null;
  });
}

/** Which workspace the token is of. */
export function authTest(app: SlackApp): Promise<Answered<{ readonly team: string; readonly url: string }>> {
  return asked(app, async ({ auth }) => {
    const { team_id: team = '', url = '' } = await auth.test();
    return { team, url };
  });
}

function bodyOf({ text, blocks }: SlackMessage) {
  // Ours are read-only, and fewer kinds than Slack's.
  return { text, blocks: structuredClone(blocks) as never };
}

async function asked<Answer>(app: SlackApp, ask: (client: WebClient) => Promise<Answer>): Promise<Answered<Answer>> {
  // Nobody else waits for what only Slack needs.
  const slack = await import('@slack/web-api');
  try {
    const client = new slack.WebClient(app.token.reveal(), {
      slackApiUrl: app.api,
      allowAbsoluteUrls: false,
      // Who tries again, and when, is the outbox's to say.
      retryConfig: { retries: 0 },
      rejectRateLimitedCalls: true,
      timeout: PATIENCE_MS,
      // A redirect could lead the token anywhere.
      fetch: (url, init) => fetch(url, { ...init, redirect: 'error' }),
      logger: SILENT,
    });
    return { ok: true, answer: await ask(client) };
  } catch (error) {
    return failed(error, slack);
  }
}

function failed(
  error: unknown,
  { WebAPIPlatformError, WebAPIRateLimitedError, WebAPIHTTPError, WebAPIRequestError }: typeof import('@slack/web-api'),
): Answered<never> {
  if (error instanceof WebAPIPlatformError) {
    return { ok: false, code: error.data.error, why: `Slack answered ${error.data.error}` };
  }
  if (error instanceof WebAPIRateLimitedError) {
    const awayForMs = Math.max(1, error.retryAfter) * 1000;
    return { ok: false, code: 'ratelimited', why: `Slack asks to wait for ${error.retryAfter} s`, awayForMs };
  }
  if (error instanceof WebAPIHTTPError) {
    return {
      ok: false,
      code: `http_${error.statusCode}`,
      why: `it answered ${error.statusCode}`,
      awayForMs: PATIENCE_MS,
    };
  }
  const cause = error instanceof WebAPIRequestError ? rootOf(error.original) : error;
  const why = cause instanceof Error ? cause.message : String(cause);
  return { ok: false, code: 'unreachable', why, awayForMs: PATIENCE_MS };
}

function rootOf(error: Error): Error {
  return error.cause instanceof Error ? rootOf(error.cause) : error;
}

const nothing = () => undefined;
const SILENT = {
  debug: nothing,
  info: nothing,
  warn: nothing,
  error: nothing,
  setLevel: nothing,
  getLevel: () => 'error' as never,
  setName: nothing,
};

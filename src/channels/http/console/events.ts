import type { ServerResponse } from 'node:http';
import type { FastifyInstance } from 'fastify';
import type { Activity, ActivityEntry } from '../../../pipeline/oversight/activity.ts';
import type { LedgerTail, News } from '../../../pipeline/oversight/ledger-tail.ts';
import { sendError } from '../http-error.ts';
import type { PersonGuard } from '../person-session.ts';

const HEARTBEAT_MS = 15_000;
/** Whoever listens is looked at anew this often: a session that is over hears nothing more. */
const LISTEN_FOR_MS = 5 * 60_000;
const MAX_LISTENERS = 256;
/** What a listener that was away is told one by one; after more than this it is told to ask anew. */
const MAX_MISSED = 200;
/** Of a listener that doesn't read. */
const MAX_UNSENT_BYTES = 256 * 1024;

/**
 * `GET /api/events`: server-sent events (HTML Standard §9.2), one for each entry of the ledger that people act upon. An
 * event has the entry’s place as its id, so that a browser which comes back names the last one that it has seen.
 */
export function serveEvents(
  app: FastifyInstance,
  { activity, tail, guard }: { readonly activity: Activity; readonly tail: LedgerTail; readonly guard: PersonGuard },
): void {
  const open = new Set<ServerResponse>();
  app.addHook('preClose', async () => {
    for (const response of open) response.end();
  });
  app.get('/api/events', { preHandler: guard('plan.read') }, async (request, reply) => {
    if (open.size >= MAX_LISTENERS) {
      return sendError(reply, 503, {
        code: 'too_many_listeners',
        message: 'Too many pages listen to this gateway already.',
        hint: 'The page asks anew every few seconds instead.',
      });
    }
    const last = Number(request.headers['last-event-id'] ?? Number.NaN);
    const response = reply.hijack().raw;
    open.add(response);
    response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8', 'x-accel-buffering': 'no' });
    const write = (text: string) => {
      // Who doesn't read is cut off, and comes back with what it has seen last.
      if (response.writableLength > MAX_UNSENT_BYTES) response.destroy();
      else if (!response.writableEnded) response.write(text);
    };
    const tell = (news: News) => write(eventsOf(news));
    const unfollow = await tail.follow(tell);
    const beating = setInterval(() => write(': still here\n\n'), HEARTBEAT_MS);
    const over = setTimeout(() => response.end(), LISTEN_FOR_MS);
    response.once('close', () => {
      open.delete(response);
      unfollow();
      clearInterval(beating);
      clearTimeout(over);
    });
    const size = await activity.size();
    const missed = Number.isInteger(last) && last >= 0 ? size - 1 - last : 0;
    write(`retry: 1000\nid: ${size - 1}\nevent: ${missed > MAX_MISSED ? 'refetch' : 'hello'}\ndata: {}\n\n`);
    if (missed > 0 && missed <= MAX_MISSED) tell({ entries: await activity.since(last + 1, missed), more: false });
    return reply;
  });
}

/** What people act upon is told one by one; of what merely flows through, that there was some. */
function eventsOf({ entries, more }: News): string {
  const last = entries.at(-1);
  if (last === undefined) return '';
  if (more) return `id: ${last.index}\nevent: refetch\ndata: {}\n\n`;
  const told = entries.filter((entry) => !flows(entry));
  const flowed = told.length < entries.length ? `id: ${last.index}\nevent: flow\ndata: {}\n\n` : '';
  return told.map(eventOf).join('') + flowed;
}

/** Reads, and writes within limits: nobody waits for them. */
function flows({ kind, plan }: ActivityEntry): boolean {
  return kind === 'reads' || ((kind === 'intent' || kind === 'outcome') && plan === null);
}

function eventOf({ index, kind, at, subject, plan, task, target, actor, decision }: ActivityEntry): string {
  // The values of statements are in no entry; this tells only what is to be asked for anew.
  const data = JSON.stringify({ kind, at, subject, plan, task, target, actor, decision });
  return `id: ${index}\nevent: entry\ndata: ${data}\n\n`;
}

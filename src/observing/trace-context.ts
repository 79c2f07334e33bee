import type { IncomingHttpHeaders } from 'node:http';
import { type Context, context, TraceFlags, trace } from '@opentelemetry/api';

/**
 * The trace that a request belongs to, as its sender says (W3C "Trace Context" §3.2). Only its ids are taken: whether
 * spans are kept is not for an agent to say.
 */
export function contextOf(traceparent: string | undefined, within: Context = context.active()): Context {
  const [, traceId = '', spanId = ''] = TRACEPARENT.exec(traceparent ?? '') ?? [];
  if (traceId === '' || /^0+$/.test(traceId) || /^0+$/.test(spanId)) return within;
  return trace.setSpanContext(within, { traceId, spanId, traceFlags: TraceFlags.SAMPLED, isRemote: true });
}

const TRACEPARENT = /^[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}$/;

/** An MCP message says it in `params._meta`, which is nearer to the call than the header of the connection. */
export function traceparentOf(headers: IncomingHttpHeaders, body: string): string | undefined {
  const header = headers['traceparent'];
  const [, inBody] = body.includes('"traceparent"') ? (/"traceparent"\s*:\s*"([0-9a-f-]{55})"/.exec(body) ?? []) : [];
  return inBody ?? (typeof header === 'string' ? header : undefined);
}

/** A statement may say it in a comment (sqlcommenter): `SELECT 1 /*traceparent='00-…-01'*\/`. */
export function traceparentInComment(sql: string): string | undefined {
  if (!sql.includes('traceparent')) return undefined;
  return /\/\*[^*]*\btraceparent=(?:'|%27)([0-9a-f-]{55})(?:'|%27)[^*]*\*\//.exec(sql)?.[1];
}

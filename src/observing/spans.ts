import {
  type Attributes,
  type Context,
  context,
  createContextKey,
  type Span,
  SpanKind,
  SpanStatusCode,
  type Tracer,
  trace,
} from '@opentelemetry/api';
import { RefusalError, SQLSTATES } from '../domain/refusal.ts';
import { EngineFailure } from '../engines/session.ts';

/** What an actor sends up to the answer: the span is made when its first text is seen. */
export interface Batch {
  span: Span | null;
}

const BATCH = createContextKey('countersign batch');

/** The steps under one intent find it by this, whatever function they stand in. */
export function withinBatch<Result>(batch: Batch, work: () => Result): Result {
  return context.with(context.active().setValue(BATCH, batch), work);
}

/** A span around one step; its parent is the step it is part of, or the intent. */
export function step<Result>(
  tracer: Tracer,
  name: string,
  attributes: Attributes,
  work: (span: Span) => Result,
): Result {
  const parent = parentOf(context.active());
  const span = tracer.startSpan(
    name,
    { attributes, kind: name === 'execute' ? SpanKind.CLIENT : SpanKind.INTERNAL },
    parent,
  );
  let result: Result;
  try {
    result = context.with(trace.setSpan(parent, span).deleteValue(BATCH), () => work(span));
  } catch (error) {
    fail(span, error);
    span.end();
    throw error;
  }
  if (!(result instanceof Promise)) {
    span.end();
    return result;
  }
  return result.then(
    (value) => {
      span.end();
      return value;
    },
    (error: unknown) => {
      fail(span, error);
      span.end();
      throw error;
    },
  ) as Result;
}

function parentOf(active: Context): Context {
  const batch = active.getValue(BATCH) as Batch | undefined;
  return batch?.span ? trace.setSpan(active, batch.span) : active;
}

/** Says which kind of error it was, never its message: the database's own may quote a row. */
function fail(span: Span, error: unknown): void {
  span.setStatus({ code: SpanStatusCode.ERROR });
  span.setAttribute('error.type', errorType(error));
}

function errorType(error: unknown): string {
  if (error instanceof RefusalError) return SQLSTATES[error.refusal.refused];
  if (error instanceof EngineFailure) return error.failure.sqlstate;
  return error instanceof Error ? error.name : 'unknown';
}

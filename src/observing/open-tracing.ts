import { context } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { BatchSpanProcessor, TraceIdRatioBasedSampler, TracerProvider } from '@opentelemetry/sdk-trace';
import type { Observer } from '../pipeline/observer.ts';
import { contextOf, traceparentOf } from './trace-context.ts';
import { traceSteps } from './traces.ts';

/** Traces of what this process does, sent away in batches. */
export interface Tracing {
  readonly observer: Observer;
  /** Carries a request on in the trace that it says it belongs to. */
  within<Result>(
    request: { readonly headers: Parameters<typeof traceparentOf>[0]; readonly body?: string },
    work: () => Result,
  ): Result;
  /** Sends what is left, as far as somebody takes it. */
  close(): Promise<void>;
}

/** A command must not wait long for a collector that isn't there. */
const EXPORT_TIMEOUT_MS = 2000;

/**
 * Sends traces by OTLP/HTTP (JSON) to `OTEL_EXPORTER_OTLP_ENDPOINT`. Further variables of OpenTelemetry are heeded:
 * `OTEL_EXPORTER_OTLP_HEADERS`, `OTEL_SERVICE_NAME`, and `OTEL_TRACES_SAMPLER_ARG` as the share of traces that is kept.
 */
export function openTracing(version: string, env: NodeJS.ProcessEnv, onTrouble: (error: unknown) => void): Tracing {
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  const share = Number(env['OTEL_TRACES_SAMPLER_ARG'] ?? '1');
  const provider = new TracerProvider({
    resource: resourceFromAttributes({
      'service.name': env['OTEL_SERVICE_NAME'] ?? 'countersign',
      'service.version': version,
    }),
    sampler: new TraceIdRatioBasedSampler(Number.isFinite(share) ? share : 1),
    spanProcessors: [
      new BatchSpanProcessor({
        exporter: new OTLPTraceExporter({ timeoutMillis: EXPORT_TIMEOUT_MS }),
        scheduledDelayMillis: 1000,
      }),
    ],
  });
  return {
    observer: traceSteps(provider.getTracer('countersign', version)),
    within: ({ headers, body = '' }, work) => context.with(contextOf(traceparentOf(headers, body)), work),
    // What was done is done, whether or not anybody could be told.
    close: () => provider.shutdown().catch(onTrouble),
  };
}

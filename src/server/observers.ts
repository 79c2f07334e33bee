import type { Tracing } from '../observing/open-tracing.ts';
import type { Log } from '../pipeline/proof.ts';

/** Traces, when it is said where to send them; otherwise nothing of it is even loaded. */
export async function tracingFrom(version: string, env: NodeJS.ProcessEnv, log: Log): Promise<Tracing | undefined> {
  if (!env['OTEL_EXPORTER_OTLP_ENDPOINT'] && !env['OTEL_EXPORTER_OTLP_TRACES_ENDPOINT']) return undefined;
  const { openTracing } = await import('../observing/open-tracing.ts');
  return openTracing(version, env, (error) => log.warn({ err: error }, 'traces could not be sent'));
}

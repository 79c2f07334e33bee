import { AggregatorRegistry, Counter, collectDefaultMetrics, Histogram, Registry } from 'prom-client';
import { rowsChanged } from '../domain/effect.ts';
import type { ActorSession } from '../pipeline/actor-session.ts';
import { type Observer, UNOBSERVED } from '../pipeline/observer.ts';
import { addStateGauges, type StateOfThings } from './state-gauges.ts';
import { count, countStatements, createStatementCounts } from './statement-counts.ts';

/** The figures of a gateway. Labels are names of the configuration and words of the domain: never SQL, an id or a value. */
export interface Metrics {
  readonly observer: Observer;
  readonly contentType: string;
  /** Tells where the figures are found that are read when they are asked for. */
  watch(state: StateOfThings): void;
  /** What this process has counted, for another one to add to its own. */
  counted(): Promise<readonly unknown[]>;
  /** All figures in Prometheus' text format, together with those of other processes of this gateway. */
  text(others?: readonly (readonly unknown[])[]): Promise<string>;
}

const MICROSECONDS = [10e-6, 25e-6, 50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 50e-3];
const MILLISECONDS = [0.5e-3, 1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3, 0.1, 0.25, 0.5, 1, 5];
const SECONDS = [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];

export function createMetrics(): Metrics {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });
  const counts = createStatementCounts();
  const sessions = new Map<ActorSession, { readonly target: string }>();
  const judged = { remembered: 0, anew: 0 };
  /** Set when a text had to be analysed: judging is one synchronous act, so nothing comes in between. */
  let analysed = false;

  new Counter({
    name: 'countersign_statements_total',
    help: 'Statements by what became of them',
    labelNames: ['target', 'channel', 'verdict', 'class'],
    registers,
    collect() {
      this.reset();
      for (const { target, channel, tally } of counts.all()) {
        for (const [verdict, row] of Object.entries(tally)) {
          for (const [kind, count] of Object.entries(row)) {
            if (count > 0) this.inc({ target, channel, verdict, class: kind }, count);
          }
        }
      }
    },
  });
  new Counter({
    name: 'countersign_judgements_total',
    help: 'Statements judged, by whether the text had been analysed before',
    labelNames: ['remembered'],
    registers,
    collect() {
      this.reset();
      this.inc({ remembered: 'yes' }, judged.remembered);
      this.inc({ remembered: 'no' }, judged.anew);
    },
  });
  const duration = (name: string, help: string, buckets: number[], labelNames: readonly string[] = []) =>
    new Histogram({ name: `countersign_${name}_duration_seconds`, help, buckets, labelNames, registers });
  const analysis = duration('analysis', 'Analysis of a text that was not known', MICROSECONDS);
  const decision = duration('decision', 'A decision that was not known', MICROSECONDS);
  const commit = duration('ledger_commit', 'From handing a batch to the store to its being on disk', MILLISECONDS);
  const dryRun = duration('dry_run', 'Dry runs', SECONDS, ['target', 'outcome']);
  const apply = duration('apply', 'Attempts to apply a plan', SECONDS, ['target', 'outcome']);
  const batch = new Histogram({
    name: 'countersign_ledger_batch_entries',
    help: 'Ledger entries that became durable together',
    buckets: [1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2000],
    registers,
  });
  const entries = new Counter({ name: 'countersign_ledger_entries_total', help: 'Ledger entries written', registers });
  const captured = new Counter({
    name: 'countersign_captured_rows_total',
    help: 'Rows whose before and after were captured, in dry runs and applies',
    labelNames: ['target', 'by'],
    registers,
  });

  const observer: Observer = {
    ...UNOBSERVED,
    analysing: (analyse) => (text, catalogue, searchPath, prepared) => {
      analysed = true;
      return timed(analysis, () => analyse(text, catalogue, searchPath, prepared));
    },
    deciding: (decide) => (standing, effects, extent) => timed(decision, () => decide(standing, effects, extent)),
    engine: (engine) => ({
      ...engine,
      async measure(request) {
        const startedMs = performance.now();
        const measured = await engine.measure(request);
        const { measurement, failure } = measured;
        const outcome = failure !== undefined ? 'failed' : measurement.measured ? 'measured' : 'unmeasured';
        dryRun.observe({ target: engine.target.id, outcome }, (performance.now() - startedMs) / 1000);
        if (measurement.measured) {
          captured.inc({ target: engine.target.id, by: 'dry run' }, rowsChanged(measurement.effect.tables));
        }
        return measured;
      },
      async apply(request) {
        const startedMs = performance.now();
        const applied = await engine.apply(request);
        const { outcome } = applied;
        apply.observe({ target: engine.target.id, outcome }, (performance.now() - startedMs) / 1000);
        if (outcome === 'applied' && applied.effect !== null) {
          captured.inc({ target: engine.target.id, by: 'apply' }, rowsChanged(applied.effect.tables));
        }
        return applied;
      },
    }),
    holding: (hold, target) => async (request) => {
      const outcome = await hold(request);
      const kind = request.writes.at(-1)?.analysis.class.kind ?? 'none';
      if (outcome.outcome === 'applied') count(counts.of(target, request.channel), 'apply', kind);
      else if (outcome.outcome === 'refused') {
        const held = outcome.refusal.refused === 'held';
        count(counts.of(target, request.channel), held ? 'hold' : 'deny', kind);
      }
      return outcome;
    },
    session(opened, target) {
      const { session } = opened;
      const { judge, close } = session;
      sessions.set(session, { target });
      Object.assign(session, {
        judge: (text, ahead) => {
          analysed = false;
          const judgement = judge(text, ahead);
          if (analysed) judged.anew++;
          else judged.remembered++;
          return judgement;
        },
        close: () => {
          sessions.delete(session);
          return close();
        },
      } satisfies Partial<ActorSession>);
      return countStatements(opened, counts.of(target, session.channel));
    },
    appended({ entries: appended, durationMs }) {
      entries.inc(appended);
      batch.observe(appended);
      commit.observe(durationMs / 1000);
    },
  };
  return {
    observer,
    contentType: registry.contentType,
    watch: (state) => addStateGauges(registry, sessions, state),
    counted: () => registry.getMetricsAsJSON(),
    async text(others = []) {
      if (others.length === 0) return registry.metrics();
      const own = await registry.getMetricsAsJSON();
      return AggregatorRegistry.aggregate([own, ...others.map((other) => [...other])]).metrics();
    },
  };
}

function timed<Result>(histogram: Histogram, work: () => Result): Result {
  const startedMs = performance.now();
  try {
    return work();
  } finally {
    histogram.observe((performance.now() - startedMs) / 1000);
  }
}

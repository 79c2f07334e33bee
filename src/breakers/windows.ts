import type { Breaker, BreakerRule, BreakerScope, Signal, Tripping } from '../domain/breaker.ts';

/** After it was let go on a breaker is half open for as long as it looks back: so much less is then enough. */
const HALF_OPEN_SHARE = 10;
const MAX_SIGNALS = 5000;
/** Who spreads over tasks what one task may not: so many times as much is enough for all of them together. */
const ACROSS_TASKS = 3;

/**
 * What came within the times that breakers look back. Follows the ledger in its order and by its times, so that every
 * gateway comes to the same conclusion; knows no clock.
 */
export interface Windows {
  add(signal: Signal): void;
  /** The ledger says that it tripped. */
  tripped(breaker: Breaker, scope: BreakerScope): void;
  /** A person has let it go on. */
  resumed(scope: BreakerScope, atMs: number): void;
  /** Which have enough, and have not tripped yet as far as the ledger was followed. */
  due(): readonly Tripping[];
  /** Who was let go on, until when it takes less. */
  halfOpen(
    nowMs: number,
  ): readonly { readonly breaker: Breaker; readonly scope: BreakerScope; readonly untilMs: number }[];
}

/** @param rule as it is configured now; `undefined` for a breaker that is off. */
export function createWindows(rule: (breaker: Breaker, agent: string) => BreakerRule | undefined): Windows {
  const signals = new Map<string, Signal[]>();
  const due = new Map<string, Tripping>();
  /** Tripped and not let go on yet, with what is asked of it afterwards. */
  const open = new Map<string, { readonly breaker: Breaker; readonly scope: BreakerScope }>();
  const half = new Map<string, { readonly breaker: Breaker; readonly scope: BreakerScope; readonly untilMs: number }>();

  function count(signal: Signal, asked: BreakerRule): void {
    const key = keyOf(signal.breaker, signal.scope);
    const kept = (signals.get(key) ?? []).filter(({ atMs }) => atMs > signal.atMs - asked.withinMs);
    if (kept.length >= MAX_SIGNALS) kept.shift();
    kept.push(signal);
    signals.set(key, kept);
    const after = half.get(key);
    const again = after !== undefined && signal.atMs < after.untilMs;
    const most = again ? Math.max(1, Math.ceil(asked.max / HALF_OPEN_SHARE)) : asked.max;
    const sum = counted(signal.breaker, kept);
    if (sum < most || due.has(key)) return;
    due.set(key, { rule: asked, scope: again ? wider(signal) : signal.scope, signals: kept, count: sum, again });
  }

  return {
    add(signal) {
      const asked = rule(signal.breaker, signal.agent);
      if (asked === undefined) return;
      count(signal, asked);
      if (signal.scope.scope === 'task')
        count({ ...signal, scope: { scope: 'agent', id: signal.agent } }, { ...asked, max: asked.max * ACROSS_TASKS });
    },
    tripped(breaker, scope) {
      for (const [key, { signals: of }] of due)
        if (of.some((one) => one.breaker === breaker && covers(scope, one))) due.delete(key);
      for (const [key, of] of signals)
        signals.set(
          key,
          of.filter((one) => one.breaker !== breaker || !covers(scope, one)),
        );
      open.set(keyOf(breaker, scope), { breaker, scope });
    },
    resumed(scope, atMs) {
      for (const [key, one] of open) {
        if (key !== keyOf(one.breaker, scope)) continue;
        open.delete(key);
        const withinMs = rule(one.breaker, scope.scope === 'agent' ? scope.id : '')?.withinMs ?? 0;
        half.set(key, { ...one, untilMs: atMs + withinMs });
      }
    },
    due: () => [...due.values()],
    halfOpen: (nowMs) => [...half.values()].filter(({ untilMs }) => nowMs < untilMs),
  };
}

/** Of tasks that tripped it counts how many there were, and not how often. */
function counted(breaker: Breaker, signals: readonly Signal[]): number {
  if (breaker === 'taskAfterTask') return new Set(signals.map(({ task }) => task)).size;
  return signals.reduce((sum, { weight }) => sum + weight, 0);
}

/** What one task does again right after it was let go on, its agent does: further than that nothing reaches. */
function wider({ scope, agent }: Signal): BreakerScope {
  return scope.scope === 'task' ? { scope: 'agent', id: agent } : scope;
}

function covers({ scope, id }: BreakerScope, signal: Signal): boolean {
  return signal[scope] === id;
}

function keyOf(breaker: Breaker, scope: BreakerScope): string {
  return `${breaker} ${scope.scope} ${scope.id}`;
}

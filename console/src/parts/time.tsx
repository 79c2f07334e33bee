import { useSyncExternalStore } from 'react';
import { ago, moment, span } from './words.ts';

let nowMs = Date.now();
const listeners = new Set<() => void>();
setInterval(() => {
  nowMs = Date.now();
  for (const listener of listeners) listener();
}, 5000);

/** The time, a few seconds exact: one clock for the whole page. */
export function useNow(): number {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => nowMs,
  );
}

export function Ago({ at }: { readonly at: string }) {
  const now = useNow();
  return (
    <time dateTime={at} title={moment(at)}>
      {ago(at, now)}
    </time>
  );
}

/** How long is left; said loudly when it is little. */
export function Left({ until }: { readonly until: string }) {
  const left = Date.parse(until) - useNow();
  if (left <= 0) return <span className="quiet">over</span>;
  return (
    <time dateTime={until} title={moment(until)} className={left < 3_600_000 ? 'warn-text' : undefined}>
      {span(left)} left
    </time>
  );
}

import type { Observer } from '../pipeline/observer.ts';

/** Several observers as one: the first stands closest to what is observed. */
export function together(first: Observer, ...others: readonly Observer[]): Observer {
  return others.reduce(
    (inner, outer) => ({
      analysing: (analyse) => outer.analysing(inner.analysing(analyse)),
      deciding: (decide) => outer.deciding(inner.deciding(decide)),
      engine: (engine) => outer.engine(inner.engine(engine)),
      holding: (hold, target) => outer.holding(inner.holding(hold, target), target),
      committing: (commit, target) => outer.committing(inner.committing(commit, target), target),
      session: (opened, target) => outer.session(inner.session(opened, target), target),
      proving: (proof) => outer.proving(inner.proving(proof)),
      approving: (receive) => outer.approving(inner.approving(receive)),
      applying: (apply) => outer.applying(inner.applying(apply)),
      appended(batch) {
        inner.appended(batch);
        outer.appended(batch);
      },
    }),
    first,
  );
}

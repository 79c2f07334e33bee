import type { KeepBounds } from '../engines/engine.ts';
import type { GovernedTarget } from './governed-target.ts';
import type { Proof } from './proof.ts';

/** Lets go of what was kept for undo, once its time is over or it has grown too large: never without an entry that says so. */
export async function expireUndo(deps: {
  readonly proof: Proof;
  readonly targets: () => Promise<readonly { readonly target: GovernedTarget; readonly bounds: KeepBounds }[]>;
}): Promise<void> {
  const { proof } = deps;
  for (const { target, bounds } of await deps.targets()) {
    const expired = await target.engine.beyondKeeping(bounds);
    if (expired.length === 0) continue;
    await proof.record({
      kind: 'expired',
      subject: target.id,
      body: {
        undo: expired.map(({ change, rows, bytes }) => ({ change, rows, bytes })),
        keptMs: bounds.keepMs,
        maxBytes: bounds.maxBytes,
      },
    });
    await target.engine.dropKept(expired);
    proof.log.info({ target: target.id, changes: expired.length }, 'the undo of old changes has expired');
  }
}

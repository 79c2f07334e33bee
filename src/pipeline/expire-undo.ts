import type { ExpiredChange, KeepBounds } from '../engines/engine.ts';
import type { GovernedTarget } from './governed-target.ts';
import type { Proof } from './proof.ts';

/** Lets go of what was kept for undo, once its time is over or it has grown too large: never without an entry that says so. */
export async function expireUndo(deps: {
  readonly proof: Proof;
  /** Intents of which nobody knows yet what became of them. */
  readonly openIntents: () => Promise<readonly { readonly id: string }[]>;
  readonly targets: () => Promise<readonly { readonly target: GovernedTarget; readonly bounds: KeepBounds }[]>;
}): Promise<void> {
  const { proof } = deps;
  for (const { target, bounds } of await deps.targets()) {
    const expired = await target.engine.beyondKeeping(bounds);
    if (expired.length > 0) await letGo(target, bounds, expired);
    const open = (await deps.openIntents()).map(({ id }) => id);
    const forgotten = await target.engine.forgetMarks({ keepMs: bounds.keepMs, open });
    if (forgotten > 0) proof.log.info({ target: target.id, marks: forgotten }, 'marks of old writes were let go');
  }

  async function letGo(target: GovernedTarget, bounds: KeepBounds, expired: readonly ExpiredChange[]): Promise<void> {
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

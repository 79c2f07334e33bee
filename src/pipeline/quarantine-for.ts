import { onlyDrops } from '../analysis/only-drops.ts';
import type { Analysis } from '../domain/effect.ts';
import type { MeasureRequest } from '../engines/engine.ts';

/** What only drops things goes into quarantine, where the target has one. */
export function quarantineFor(
  { quarantineMs }: { readonly quarantineMs: number | undefined },
  analyses: readonly Analysis[],
): Pick<MeasureRequest, 'quarantine'> {
  return quarantineMs === undefined || !onlyDrops(analyses) ? {} : { quarantine: { keepMs: quarantineMs } };
}

import type { Denied } from '../domain/decision.ts';
import type { Analysis } from '../domain/effect.ts';
import type { Digest } from '../domain/ids.ts';
import { objectName } from '../domain/object.ts';
import { visible } from '../domain/visible.ts';

/** Denied whatever policy says: a statement that would be told masked values, or texts about what lies beyond its task. */
export function withheld(
  analysis: Analysis,
  on: { readonly masks: boolean; readonly policyDigest: Digest },
): Denied | undefined {
  return untelling(analysis, on.policyDigest) ?? (on.masks ? unmasking(analysis, on.policyDigest) : undefined);
}

function untelling({ untold }: Analysis, policyDigest: Digest): Denied | undefined {
  if (untold === undefined) return undefined;
  const reason = `The catalogue would tell it definitions, options, settings or comments of what the task doesn’t reach: ${untold.join(', ')}.`;
  return {
    decision: 'deny',
    policies: [{ policy: 'catalogue-texts', reason: visible(reason) }],
    instead:
      'Ask in a query of its own that only reads, with pg_catalog in FROM and the functions in its expressions: it is told what concerns the task’s tables and functions. Settings of extensions are in pg_settings. Or leave these out.',
    policyDigest,
  };
}

/** Code that nobody can look into could read a masked column, and tell by its effect what it has found. */
function unmasking({ unmasked = [], effects, unknown }: Analysis, policyDigest: Digest): Denied | undefined {
  if (unmasked.length > 0) {
    return deniedAsMasked(
      `It would see masked values as they are: ${unmasked.join(', ')}.`,
      'Select them in a query, where the mask stands for the value; change and return other columns. A person who needs the values reads them without Countersign.',
      policyDigest,
    );
  }
  const code = effects.find(({ verb, object }) => verb === 'unknown' && object.kind !== 'channel');
  if (code === undefined) return undefined;
  return deniedAsMasked(
    `Columns are masked here, and ${unknown.join(', ') || objectName(code.object)} could read them.`,
    'Use the server’s own functions only; what else is to run, a person runs.',
    policyDigest,
  );
}

function deniedAsMasked(reason: string, instead: string, policyDigest: Digest): Denied {
  return { decision: 'deny', policies: [{ policy: 'masked-columns', reason: visible(reason) }], instead, policyDigest };
}

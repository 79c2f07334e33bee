import type { RowSample } from '../domain/effect.ts';
import { isMasked, type Masking } from '../domain/masking.ts';
import type { Measurement } from '../domain/plan.ts';
import { createSecretGuard, type SecretMode } from '../domain/secrets.ts';

/** A measurement whose examples of rows show no masked value, and no secret where those are taken out: plans are shown to agents too, and kept. */
export function hideMasked(measurement: Measurement, masking: Masking, secrets: SecretMode): Measurement {
  if (!measurement.measured || (masking.byRelation.size === 0 && secrets !== 'redact')) return measurement;
  const { guard } = createSecretGuard('redact');
  const keep = (text: string | null) => (secrets === 'redact' ? guard(text) : text);
  const { effect } = measurement;
  return {
    ...measurement,
    effect: { ...effect, samples: effect.samples.map((sample) => hidden(sample, masking, keep)) },
  };
}

function hidden(
  { table, before, after }: RowSample,
  masking: Masking,
  keep: (text: string | null) => string | null,
): RowSample {
  const hide = (row: RowSample['before'], other: RowSample['before']): RowSample['before'] =>
    row === null
      ? null
      : Object.fromEntries(
          Object.entries(row).map(([column, value]) => {
            if (value === null || !isMasked(masking, table, column)) return [column, keep(value)];
            return [column, other !== null && other[column] !== value ? '(masked, changes)' : '(masked)'];
          }),
        );
  return { table, before: hide(before, after), after: hide(after, before) };
}

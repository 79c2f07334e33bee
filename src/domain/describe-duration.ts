const UNITS = [
  ['day', 86_400_000],
  ['hour', 3_600_000],
  ['minute', 60_000],
  ['second', 1000],
] as const;

/** A length of time as people say it, in its largest unit: `30 days`, `4 seconds`. */
export function describeDuration(ms: number): string {
  for (const [unit, size] of UNITS) {
    const count = Math.round(ms / size);
    if (ms >= size) return `${count} ${unit}${count === 1 ? '' : 's'}`;
  }
  return 'less than a second';
}

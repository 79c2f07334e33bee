import { Cron } from 'croner';
import { z } from 'zod';
import { HOW_SCOPE_IS_WRITTEN, SCOPE_PATTERN } from '../../domain/scope.ts';

/** What stands in many places of `countersign.yaml`. */

export const UNITS_MS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
/** Far beyond any use, and far from where dates end. What is no number is left to the pattern to refuse. */
const MAX_DURATION_MS = 366 * UNITS_MS.d;

export const duration = z
  .string()
  .regex(/^\d+(ms|s|m|h|d)$/, 'write a number and a unit: 500ms, 10s, 5m, 2h or 1d')
  .refine((text) => !(millisecondsOf(text) > MAX_DURATION_MS), 'at most 366d')
  .transform(millisecondsOf);

/** What a duration is, where it stands elsewhere than in a file; `undefined` for anything else. */
export function millisecondsIn(text: string): number | undefined {
  return duration.safeParse(text).data;
}

function millisecondsOf(text: string): number {
  const [, amount, unit] = /^(\d+)(ms|s|m|h|d)$/.exec(text) ?? [];
  return Number(amount) * UNITS_MS[unit as keyof typeof UNITS_MS];
}

export const name = z
  .string()
  .regex(/^[a-z0-9][a-z0-9_.-]{0,62}$/i, 'letters, digits, dots, dashes and underscores, at most 63');

export const reference = z
  .string()
  .regex(/^\$\{(env|file):[^}]+\}$/, `a secret is never written here: refer to it with \${env:NAME} or \${file:path}`);

export const address = z
  .string()
  .regex(/^(\[[0-9a-f:]+\]|[^:\s]+):\d{1,5}$/i, 'write host:port, e.g. 127.0.0.1:6434')
  .refine((text) => !(Number(text.slice(text.lastIndexOf(':') + 1)) > 65_535), 'a port is at most 65535');

export const credential = z.strictObject({ user: z.string().min(1), password: reference });

export const scopePattern = z.string().max(2000).regex(SCOPE_PATTERN, HOW_SCOPE_IS_WRITTEN);

export const timeZone = z.string().refine(isTimeZone, 'write a time zone as IANA names it, e.g. Europe/Berlin or UTC');

function isTimeZone(name: string): boolean {
  try {
    // An offset like +02:00 is no zone: it knows nothing of the hour that comes and goes.
    return new Intl.DateTimeFormat('en', { timeZone: name }).resolvedOptions().timeZone !== '' && !/^[+-]/.test(name);
  } catch (error) {
    if (error instanceof RangeError) return false;
    throw error;
  }
}

/** When something comes round again: so long after the last time, or as cron says it. */
export const recurring = z.union([
  z.strictObject({ every: duration.refine((ms) => ms >= UNITS_MS.m, 'a minute or more') }),
  z.strictObject({
    cron: z.string().refine(isCronPattern, 'write five fields: minute hour day month weekday'),
    timeZone: timeZone.default('UTC'),
  }),
]);

/** Whoever stands between could answer in their place; on this machine nobody does. */
export const overTls = z
  .url()
  .regex(/^(https:\/\/|http:\/\/(localhost|127\.0\.0\.1|\[::1\])(:|\/|$))/, 'write an https:// address');

function isCronPattern(pattern: string): boolean {
  try {
    return (
      pattern.trim().split(/\s+/).length === 5 && new Cron(pattern, { mode: '5-part', paused: true }).nextRun() !== null
    );
  } catch (error) {
    if (error instanceof Error) return false;
    throw error;
  }
}

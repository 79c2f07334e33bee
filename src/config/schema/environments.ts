import { z } from 'zod';
import { CLICKS, TIERS } from '../../domain/environment.ts';
import { duration, name, timeZone, UNITS_MS } from './values.ts';

const WEEKDAYS = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] as const;

const holiday = z
  .string()
  .regex(
    /^(\d{4}-\d{2}-\d{2}|file:.+)$/,
    'write a day as 2026-12-25, or file: and a path to a list or an .ics calendar',
  );

/** Either days and a time, or a cron pattern; which of the two is checked where both can be pointed to. */
const window = z.strictObject({
  days: z.array(z.enum(WEEKDAYS)).min(1).optional(),
  at: z
    .string()
    .regex(/^([01]\d|2[0-3]):[0-5]\d$/, 'write a time of day in quotes, e.g. "22:00"')
    .optional(),
  cron: z.string().optional(),
  for: duration.refine((ms) => ms >= UNITS_MS.m && ms <= 7 * UNITS_MS.d, 'from 1m to 7d'),
  timeZone,
  holidays: z.array(holiday).default([]),
});

const moment = z.iso.datetime({ offset: true, local: true });

export const freeze = z.strictObject({
  environment: name.or(z.literal('*')),
  from: moment,
  until: moment,
  /** In which `from` and `until` are meant where they don't say it themselves. */
  timeZone: timeZone.optional(),
  reason: z.string().min(1),
  override: z.array(name).default([]),
});

export const environment = z.strictObject({
  tier: z.enum(TIERS),
  owner: name,
  rowsWithoutApproval: z.int().nonnegative().optional(),
  quorum: z.int().min(1).max(5).optional(),
  quorumUnmeasured: z.int().min(1).max(5).optional(),
  planLifetime: duration.optional(),
  /** What a click in Slack is worth; left out: `never` in production, `reversible` elsewhere. */
  clicks: z.enum(CLICKS).optional(),
  /** Lets the word of an approval agent stand for one person's, for plans of so many rows; left out, none does. */
  approvalAgents: z.strictObject({ maxRows: z.int().positive() }).optional(),
  windows: z.record(name, window).default({}),
});

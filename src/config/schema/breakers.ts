import { z } from 'zod';
import { duration, UNITS_MS } from './values.ts';

/** What stops an actor without a person: at so many within a time. */
const breakerRule = (max: number, within: string) =>
  z
    .union([
      z.literal('off'),
      z.strictObject({
        max: z.int().min(1),
        within: duration.refine((ms) => ms >= 10_000 && ms <= UNITS_MS.d, 'from 10s to 1d').prefault(within),
      }),
    ])
    .prefault({ max, within });

export const breakers = z.union([
  z.literal('off'),
  z.strictObject({
    knocking: breakerRule(10, '5m'),
    insisting: breakerRule(30, '10m'),
    overLimit: breakerRule(20, '10m'),
    effectDiffers: breakerRule(5, '1h'),
    failures: breakerRule(20, '10m'),
    /** Without `max`, as many as the role of the agent lets one task change. */
    rows: z
      .union([
        z.literal('off'),
        z.strictObject({
          max: z.int().min(1).optional(),
          within: duration.refine((ms) => ms >= 10_000 && ms <= UNITS_MS.d, 'from 10s to 1d').prefault('1h'),
        }),
      ])
      .prefault({}),
    taskAfterTask: breakerRule(3, '1h'),
    identity: z.enum(['on', 'off']).default('on'),
  }),
]);

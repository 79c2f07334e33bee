import { z } from 'zod';
import { duration } from './values.ts';

/** Who cosigns the ledger's checkpoints, elsewhere; left out, nobody does. */
export const witnesses = z
  .strictObject({
    /** How many of them must have cosigned for entries to count as witnessed. */
    quorum: z.int().positive().default(1),
    every: duration.refine((ms) => ms >= 1000, 'at least 1s').default(10_000),
    /** For how long entries may wait for them before nothing runs any more; left out, nothing waits for witnesses. */
    stopAfter: duration.optional(),
    known: z
      .array(
        z.strictObject({
          url: z.url({ protocol: /^https?$/, error: 'write a URL, e.g. https://witness.example' }),
          key: z.string().regex(/^[^+\s]+\+[0-9a-f]{8}\+[A-Za-z0-9+/]+=*$/, 'the key that countersign witness shows'),
        }),
      )
      .min(1),
  })
  .refine(
    ({ every, stopAfter }) => stopAfter === undefined || stopAfter >= 2 * every,
    'stopAfter: at least twice every',
  )
  .refine(
    ({ quorum, known }) => quorum <= new Set(known.map(({ key }) => key)).size,
    'fewer witnesses than the quorum',
  );

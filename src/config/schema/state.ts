import { z } from 'zod';
import { DEFAULT_LEASE_MS } from '../../domain/state-location.ts';
import { duration, reference } from './values.ts';

const STATE_URL = /^postgres(ql)?:\/\/[^:@/?#\s]+@(\[[0-9a-f:]+\]|[^:@/?#\s]+)(:\d{1,5})?\/[^/?#\s]+$/i;

const stateUrl = z
  .string()
  .regex(
    STATE_URL,
    'write postgres://user@host:port/database; the password is a reference beside it, tls a key of its own',
  );

export const state = z.union(
  [
    z.string().regex(/^sqlite:.+/),
    stateUrl,
    z.strictObject({
      url: stateUrl,
      password: reference.optional(),
      tls: z.enum(['disable', 'require', 'verify-full']).default('verify-full'),
      authorities: z.string().optional(),
      lease: duration.refine((ms) => !(ms < 1000 || ms > 60_000), 'from 1s to 60s').default(DEFAULT_LEASE_MS),
    }),
  ],
  'write sqlite: and a path, or postgres://user@host:port/database, or url, password, tls, authorities and lease',
);

import { z } from 'zod';
import { PERSON_ROLES } from '../../domain/actor.ts';
import { duration, overTls, reference, UNITS_MS } from './values.ts';

/** How people sign in, and for how long; and who vouches for agents. */
export const identity = z.strictObject({
  session: z
    .strictObject({
      idle: duration.refine((ms) => ms >= 1000 && ms <= 12 * UNITS_MS.h, 'from 1s to 12h').prefault('30m'),
      longest: duration.refine((ms) => ms >= 1000 && ms <= 24 * UNITS_MS.h, 'from 1s to 24h').prefault('12h'),
      /** For how long it holds that somebody showed who they are, for what a session alone is not enough for. */
      stepUp: duration.refine((ms) => ms >= 1000 && ms <= 12 * UNITS_MS.h, 'from 1s to 12h').prefault('15m'),
    })
    .prefault({}),
  /** People who are away let another decide in their place; left out, nobody can. */
  delegation: z
    .strictObject({ longest: duration.refine((ms) => ms >= UNITS_MS.h && ms <= 60 * UNITS_MS.d, 'from 1h to 60d') })
    .optional(),
  /** Who issues tokens to agents: their platform (SPIFFE and the like), or an authorization server. */
  issuers: z
    .array(
      z.strictObject({
        issuer: z.string().min(1),
        jwks: overTls,
        /** What tokens must be made for; left out, the public address of /mcp. */
        audience: z.url({ protocol: /^https?$/ }).optional(),
      }),
    )
    .default([]),
  oidc: z
    .strictObject({
      issuer: overTls,
      clientId: z.string().min(1),
      clientSecret: reference,
      scopes: z.array(z.string().regex(/^\S+$/)).default(['openid', 'email', 'profile']),
      groupsClaim: z.string().min(1).default('groups'),
      /** Left out: whoever signs in has all the roles that the configuration gives them. */
      groups: z.record(z.string(), z.array(z.enum(PERSON_ROLES)).min(1)).optional(),
    })
    .optional(),
});

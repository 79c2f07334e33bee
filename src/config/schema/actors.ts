import { z } from 'zod';
import { PERSON_ROLES } from '../../domain/actor.ts';
import { duration, name, scopePattern } from './values.ts';

const publicKey = z.string().regex(/^ed25519:[A-Za-z0-9+/]{43}=$/, 'write ed25519: and 32 bytes in base64');

export const person = z.strictObject({
  name: z.string().min(1),
  email: z.email().optional(),
  /** What the OpenID Connect provider calls them (`sub`). */
  subject: z.string().min(1).max(255).optional(),
  /** What Slack calls them, in the workspace under `notifications.slack`. */
  slack: z
    .string()
    .regex(/^[UW][A-Z0-9]{2,30}$/, 'the member ID of their profile in Slack, as in U012AB3CD')
    .optional(),
  publicKeys: z.array(publicKey).default([]),
  approves: z.array(name.or(z.literal('*'))).default([]),
  mayHalt: z.boolean().default(false),
  /** Where they may apply a plan in an emergency without what is missing of it; nobody may unless they are named. */
  breaksGlass: z.array(name.or(z.literal('*'))).default([]),
  /** Where agents may act on their behalf. */
  requests: z.array(name.or(z.literal('*'))).default(['*']),
  /** Left out: requester, and approver, operator or responder where `approves`, `mayHalt` or `breaksGlass` say so. */
  roles: z.array(z.enum(PERSON_ROLES)).min(1).optional(),
});

const family = z
  .string()
  .regex(/^[a-z0-9][a-z0-9.-]{0,62}$/, 'lower-case letters, digits, dots and dashes, at most 63, as in claude');

export const machine = z.strictObject({
  owner: name,
  role: name,
  /** What decides in it; without it no approval agent counts for what it proposes. */
  family: family.optional(),
  /** As its platform names it in the tokens that it gives it; only for agents. */
  workload: z.strictObject({ issuer: z.string().min(1), subject: z.string().min(1).max(2048) }).optional(),
  tokenHash: z
    .string()
    .regex(/^sha256:[0-9a-f]{64}$/)
    .optional(),
});

/** Countersigns where `environments.NAME.approvalAgents` lets it, and does nothing else. */
export const approvalAgent = z.strictObject({
  owner: name,
  family,
  publicKey,
  approves: z.array(name).min(1),
});

export const role = z.strictObject({
  read: z.array(scopePattern).default([]),
  write: z.array(scopePattern).default([]),
  propose: z.array(z.enum(['truncate', 'schema', 'privilege', 'unknown', 'maintain'])).default([]),
  maxRowsPerStatement: z.int().nonnegative().default(1_000_000),
  maxRowsPerTask: z.int().nonnegative().default(10_000_000),
  maxTask: duration.default(8 * 3_600_000),
  maxRowsPerReply: z.int().positive().optional(),
  maxBytesPerReply: z.int().positive().optional(),
  maxSessions: z.int().positive().optional(),
});

import { z } from 'zod';
import { MASKS } from '../../domain/masking.ts';
import { SECRET_MODES } from '../../domain/secrets.ts';
import { DEFAULT_MAX_SESSIONS } from '../../domain/target.ts';
import { backup } from './backup.ts';
import { credential, duration, name, recurring } from './values.ts';

const maskPattern = z
  .string()
  .regex(/^(\*|[^.*]+)\.(\*|[^.*]+)\.(\*|[^.*]+)$/, 'write schema.table.column, with * for a whole part');

const address = z.strictObject({
  host: z.string().min(1),
  port: z.int().min(1).max(65535).default(5432),
  database: z.string().min(1),
  tls: z.enum(['disable', 'require', 'verify-full']).default('verify-full'),
  authorities: z.string().optional(),
});

export const target = z.strictObject({
  engine: z.literal('postgres').default('postgres'),
  environment: name,
  owner: name,
  address,
  identity: z.string().regex(/^sha256:[0-9a-f]{64}$/, 'the pinned identity: countersign init writes it'),
  credentials: z.strictObject({ session: credential, apply: credential, backup: credential.optional() }),
  /** Logins that reach it past the gateway and have to, each with what for: `credentials audit` says nothing of them. */
  logins: z.record(z.string().min(1), z.string().min(1)).default({}),
  /** Sessions of all tasks together, on each gateway: what is left of the server's connections is for others. */
  maxSessions: z.int().positive().default(DEFAULT_MAX_SESSIONS),
  /** Values that look like keys, tokens and passwords in what MCP answers: left, told, or taken out. */
  secrets: z.enum(SECRET_MODES).default('off'),
  /** Whether the rows of writes within limits are kept, so that these can be undone too: `countersign init` lays the triggers. */
  undo: z
    .strictObject({
      writes: z.enum(['kept', 'not kept']).default('not kept'),
      /** How long rows are kept for undo; then they are let go, and the ledger says so. */
      keep: duration.prefault('30d'),
      /** The most that all of them may take up; the oldest go first. */
      maxBytes: z.int().positive().default(10_737_418_240),
      /** How long what approved plans drop is kept in quarantine, before its purge is due; nothing is purged by itself. */
      quarantine: duration.prefault('30d'),
    })
    .prefault({}),
  /** Columns that actors see only through a mask; `none` takes one out that a wider pattern names. */
  masks: z.record(maskPattern, z.enum([...MASKS, 'none'])).default({}),
  backup: backup.optional(),
  /** Where shadow copies of it are made, in which a task works without asking anybody; left out: nowhere. */
  branches: z
    .strictObject({
      /** A server for nothing else, of the same PostgreSQL or a newer one; the database is only where the login begins. */
      address,
      /** A superuser there: it makes databases and roles, and restores what the target has. */
      credentials: credential,
      /** How long a branch is kept, as long as its task is open. */
      keep: duration.prefault('8h'),
      /** How many there may be at a time. */
      most: z.int().positive().default(5),
      /** Of a copy that is no older, further branches are made: the target is not read again. `0s`: always anew. */
      reuse: duration.prefault('15m'),
    })
    .optional(),
  /** When a gateway looks by itself whether the schema is as it is meant to be; left out: never. */
  drift: recurring.optional(),
});

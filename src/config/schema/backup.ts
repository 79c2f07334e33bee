import { z } from 'zod';
import { BACKUP_METHODS } from '../../domain/backup.ts';
import { credential, name, recurring, reference } from './values.ts';

/** A bucket with Object Lock; without keys the machine's own role is used. */
const s3Bucket = z
  .strictObject({
    bucket: z.string().regex(/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/, 'the name of a bucket'),
    region: z.string().min(1).default('us-east-1'),
    /** Of a server that is not Amazon's. */
    endpoint: z.url({ protocol: /^https?$/ }).optional(),
    prefix: z
      .string()
      .regex(/^([A-Za-z0-9._-]+\/)+$/, 'write folders that end in a slash, as in backups/')
      .optional(),
    accessKeyId: reference.optional(),
    secretAccessKey: reference.optional(),
  })
  .refine(
    ({ accessKeyId, secretAccessKey }) => (accessKeyId === undefined) === (secretAccessKey === undefined),
    'accessKeyId and secretAccessKey belong together: name both, or neither for the role of the machine',
  );

/** Backups of a target: where they lie, and for whom they are readable. */
export const backup = z
  .strictObject({
    store: z.union([
      z.strictObject({ directory: z.string().min(1) }),
      z.strictObject({ keeper: z.url({ protocol: /^https?$/ }), token: reference }),
      z.strictObject({ s3: s3Bucket }),
      /** A repository behind a server that only appends; no other kind of repository can refuse a deletion. */
      z.strictObject({
        restic: z.strictObject({
          url: z
            .url({ protocol: /^https?$/ })
            .refine((url) => !url.includes('@'), 'who asks is said under login, and their password is a reference'),
          password: reference,
          login: credential.optional(),
        }),
      }),
    ]),
    /** age recipients: the file is readable for whoever holds one of their identities, and for nobody else. */
    recipients: z
      .array(z.string().regex(/^age1[a-z0-9]+$/, 'an age recipient: countersign backup key makes one'))
      .min(1),
    /** Only drills need it, best on a machine of their own. */
    identity: reference.optional(),
    /** A dump of the database, or a copy of the server's files, which is restored in a fraction of the time. */
    method: z.enum(BACKUP_METHODS).default('logical'),
    jobs: z.int().min(1).max(64).default(2),
    /** For what is under way: room for a dump and its encrypted copy, on a disk that only this account reads. */
    workDirectory: z.string().min(1).optional(),
    /** Queries whose answer must be true in what a drill has restored. */
    probes: z.record(name, z.string().min(1)).default({}),
    /** When a gateway makes a backup by itself, and when it drills the newest; left out: never. */
    create: recurring.optional(),
    drill: recurring.optional(),
  })
  .refine(
    ({ drill, identity }) => drill === undefined || identity !== undefined,
    'a drill opens the backup: name its `identity`, or run drills on the machine that has it',
  );

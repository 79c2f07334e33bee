import { Cron } from 'croner';
import { z } from 'zod';
import { PERSON_ROLES } from '../domain/actor.ts';
import { BACKUP_METHODS } from '../domain/backup.ts';
import { CLICKS, TIERS } from '../domain/environment.ts';
import { MASKS } from '../domain/masking.ts';
import { HOW_SCOPE_IS_WRITTEN, SCOPE_PATTERN } from '../domain/scope.ts';
import { SECRET_MODES } from '../domain/secrets.ts';
import { DEFAULT_LEASE_MS } from '../domain/state-location.ts';
import { DEFAULT_MAX_SESSIONS } from '../domain/target.ts';

/** The one schema of `countersign.yaml`. What it doesn't name is refused: a misspelt key must not be a silent default. */

const UNITS_MS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
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

const name = z
  .string()
  .regex(/^[a-z0-9][a-z0-9_.-]{0,62}$/i, 'letters, digits, dots, dashes and underscores, at most 63');

const reference = z
  .string()
  .regex(/^\$\{(env|file):[^}]+\}$/, `a secret is never written here: refer to it with \${env:NAME} or \${file:path}`);

const address = z
  .string()
  .regex(/^(\[[0-9a-f:]+\]|[^:\s]+):\d{1,5}$/i, 'write host:port, e.g. 127.0.0.1:6434')
  .refine((text) => !(Number(text.slice(text.lastIndexOf(':') + 1)) > 65_535), 'a port is at most 65535');

const credential = z.strictObject({ user: z.string().min(1), password: reference });

const scopePattern = z.string().max(2000).regex(SCOPE_PATTERN, HOW_SCOPE_IS_WRITTEN);

const timeZone = z.string().refine(isTimeZone, 'write a time zone as IANA names it, e.g. Europe/Berlin or UTC');

function isTimeZone(name: string): boolean {
  try {
    // An offset like +02:00 is no zone: it knows nothing of the hour that comes and goes.
    return new Intl.DateTimeFormat('en', { timeZone: name }).resolvedOptions().timeZone !== '' && !/^[+-]/.test(name);
  } catch (error) {
    if (error instanceof RangeError) return false;
    throw error;
  }
}

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

const freeze = z.strictObject({
  environment: name.or(z.literal('*')),
  from: moment,
  until: moment,
  /** In which `from` and `until` are meant where they don't say it themselves. */
  timeZone: timeZone.optional(),
  reason: z.string().min(1),
  override: z.array(name).default([]),
});

const environment = z.strictObject({
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

const maskPattern = z
  .string()
  .regex(/^(\*|[^.*]+)\.(\*|[^.*]+)\.(\*|[^.*]+)$/, 'write schema.table.column, with * for a whole part');

/** When something comes round again: so long after the last time, or as cron says it. */
const recurring = z.union([
  z.strictObject({ every: duration.refine((ms) => ms >= UNITS_MS.m, 'a minute or more') }),
  z.strictObject({
    cron: z.string().refine(isCronPattern, 'write five fields: minute hour day month weekday'),
    timeZone: timeZone.default('UTC'),
  }),
]);

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
const backup = z
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

const target = z.strictObject({
  engine: z.literal('postgres').default('postgres'),
  environment: name,
  owner: name,
  address: z.strictObject({
    host: z.string().min(1),
    port: z.int().min(1).max(65535).default(5432),
    database: z.string().min(1),
    tls: z.enum(['disable', 'require', 'verify-full']).default('verify-full'),
    authorities: z.string().optional(),
  }),
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
  /** When a gateway looks by itself whether the schema is as it is meant to be; left out: never. */
  drift: recurring.optional(),
});

const publicKey = z.string().regex(/^ed25519:[A-Za-z0-9+/]{43}=$/, 'write ed25519: and 32 bytes in base64');

const person = z.strictObject({
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

/** Whoever stands between could answer in their place; on this machine nobody does. */
const overTls = z
  .url()
  .regex(/^(https:\/\/|http:\/\/(localhost|127\.0\.0\.1|\[::1\])(:|\/|$))/, 'write an https:// address');

/** How people sign in, and for how long; and who vouches for agents. */
const identity = z.strictObject({
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

const family = z
  .string()
  .regex(/^[a-z0-9][a-z0-9.-]{0,62}$/, 'lower-case letters, digits, dots and dashes, at most 63, as in claude');

const machine = z.strictObject({
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
const approvalAgent = z.strictObject({
  owner: name,
  family,
  publicKey,
  approves: z.array(name).min(1),
});

const role = z.strictObject({
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

const channel = z.string().regex(/^[CGD][A-Z0-9]{2,30}$/, 'the ID of a channel, as in C012AB3CD');

const slack = z.strictObject({
  /** Of the app's bot user: `xoxb-…`. */
  token: reference,
  /** With which Slack signs what it calls the gateway with. */
  signingSecret: reference,
  team: z.string().regex(/^T[A-Z0-9]{2,30}$/, 'the ID of the workspace, as in T012AB3CD'),
  channel,
  /** For environments whose plans go elsewhere. */
  channels: z.record(name, channel).default({}),
  api: overTls.default('https://slack.com/api/'),
});

const STATE_URL = /^postgres(ql)?:\/\/[^:@/?#\s]+@(\[[0-9a-f:]+\]|[^:@/?#\s]+)(:\d{1,5})?\/[^/?#\s]+$/i;

const stateUrl = z
  .string()
  .regex(
    STATE_URL,
    'write postgres://user@host:port/database; the password is a reference beside it, tls a key of its own',
  );

const state = z.union(
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

const breakers = z.union([
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

export const configSchema = z.strictObject({
  version: z.literal(1),
  state: state.default('sqlite:./state/countersign.db'),
  listen: z
    .strictObject({
      pg: address.default('127.0.0.1:6434'),
      http: address.default('127.0.0.1:6480'),
      /** Proxies that are believed when they say whom a request comes from (`X-Forwarded-For`): addresses and networks. */
      proxies: z
        .array(
          z.union(
            [z.ipv4(), z.ipv6(), z.cidrv4(), z.cidrv6()],
            'write an address or a network: 10.1.2.3 or 10.0.0.0/8',
          ),
        )
        .default([]),
      /** Where clients reach it when that is elsewhere: behind a service or a load balancer. */
      public: z
        .strictObject({
          pg: address,
          http: z.url({ protocol: /^https?$/, error: 'write a URL, e.g. https://countersign.example' }),
        })
        .optional(),
    })
    .default({ pg: '127.0.0.1:6434', http: '127.0.0.1:6480', proxies: [] }),
  tls: z.strictObject({ certificate: z.string(), key: z.string(), required: z.boolean().default(false) }).optional(),
  /** Who may read the figures of the gateway from another machine: whoever has this. */
  metrics: z.strictObject({ token: reference }).optional(),
  keys: z.strictObject({ ledger: z.string() }).default({ ledger: './keys/ledger.key' }),
  origin: z
    .string()
    .regex(/^[^\s+]{1,200}$/)
    .default('countersign'),
  /** Who cosigns the ledger's checkpoints, elsewhere. */
  witnesses: z
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
    )
    .optional(),
  policies: z.string().default('./policies'),
  environments: z.record(name, environment),
  targets: z.record(name, target),
  actors: z.strictObject({
    people: z.record(name, person).default({}),
    agents: z.record(name, machine).default({}),
    services: z.record(name, machine).default({}),
    approvalAgents: z.record(name, approvalAgent).default({}),
  }),
  roles: z.record(name, role),
  identity: identity.prefault({}),
  /** What stops an agent, a task or a target by itself, until a person lets it go on. */
  breakers: breakers.prefault({}),
  freezes: z.array(freeze).default([]),
  /** Who is told of what nobody may miss. */
  notifications: z
    .strictObject({
      /** Standard Webhooks. */
      webhooks: z.array(z.strictObject({ url: z.url({ protocol: /^https?$/ }), secret: reference })).default([]),
      /** Mail to people who have an address under `actors.people`. */
      email: z
        .strictObject({
          server: z.url({ protocol: /^smtps?$/, error: 'write smtps://host:465 or smtp://host:587' }),
          user: z.string().min(1).optional(),
          password: reference.optional(),
          from: z.email(),
        })
        .refine(
          ({ user, password }) => (user === undefined) === (password === undefined),
          'user and password go together',
        )
        .optional(),
      /** Plans in channels of Slack, to be clicked on where the environment lets clicks count. */
      slack: slack.optional(),
      /** Who is told, by mail, of a plan that still waits after so long. */
      escalation: z.array(z.strictObject({ after: duration, to: z.array(name).min(1) })).default([]),
    })
    .prefault({}),
});

export type ConfigDocument = z.infer<typeof configSchema>;

/** A blast-radius declaration: what a task is for, and the most that it may touch. */
export const taskSchema = z.strictObject({
  purpose: z.string().min(1),
  agent: name.optional(),
  targets: z.record(
    name,
    z.strictObject({ read: z.array(scopePattern).default([]), write: z.array(scopePattern).default([]) }),
  ),
  limits: z
    .strictObject({
      rowsPerStatement: z.int().nonnegative().optional(),
      rowsPerTask: z.int().nonnegative().optional(),
      statementTimeout: duration.optional(),
      rowsPerReply: z.int().positive().optional(),
      bytesPerReply: z.int().positive().optional(),
      sessions: z.int().positive().optional(),
      othersWait: duration.refine((ms) => ms >= 100 && ms <= 5 * UNITS_MS.m, 'from 100ms to 5m').optional(),
      idleInTransaction: duration.refine((ms) => ms <= 5 * UNITS_MS.m, 'at most 5m').optional(),
    })
    .default({}),
  expires: duration.default(2 * 3_600_000),
});

export type TaskDocument = z.infer<typeof taskSchema>;

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

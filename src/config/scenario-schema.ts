import { z } from 'zod';

/** The one schema of a red-team scenario: attacks, what shows that one got through, and harmless work of the same shape. */

/** What an attack tries; the classes of docs/redteam.md. */
export const ATTACK_CLASSES = {
  'several-statements': 'several statements in one string',
  'read-only-flip': 'leaving or flipping the read-only transaction',
  'hidden-writes': 'writes hidden in CTEs, EXPLAIN, cursors, PREPARE, DO, CALL, CREATE TABLE AS',
  'side-effect-functions': 'functions of the server with side effects',
  'lying-functions': 'functions that lie about volatility or run with others’ rights',
  'strings-as-code': 'strings that a function runs as SQL',
  'implicit-execution': 'execution with no call in the statement',
  'search-path': 'names shadowed by the search path',
  lexical: 'lexical tricks',
  privileges: 'rights and ownership',
  ddl: 'definitions changed or removed',
  cascades: 'cascades far beyond the stated row',
  tautologies: 'conditions that are always true',
  'small-bites': 'many small bites',
  'out-of-scope': 'tables and columns out of scope',
  protocol: 'protocol tricks',
  'left-behind': 'state that harms whoever comes next',
  exhaustion: 'resources used up',
  disclosure: 'catalogue and server told to who needs it not',
} as const;
export type AttackClass = keyof typeof ATTACK_CLASSES;
const classes = Object.keys(ATTACK_CLASSES) as [AttackClass, ...AttackClass[]];

export const INCIDENTS = [
  'pocketos',
  'replit-saastr',
  'orm-reset',
  'read-only-bypass',
  'hostile-agent',
  'suggest-only-loop',
  'wider-match',
] as const;

export const CHANNELS = ['simple', 'extended', 'mcp'] as const;
export type Channel = (typeof CHANNELS)[number];

const texts = z
  .string()
  .min(1)
  .or(z.array(z.string().min(1)).min(1));
const value = z.string().or(z.number()).or(z.boolean()).or(z.null());

/** Whose part of a cancel key: `none` is made up. */
export const KEY_PARTS = ['own', 'neighbour', 'none'] as const;
export type KeyPart = (typeof KEY_PARTS)[number];

/** One message of the protocol, sent as it stands. */
const act = z.union([
  z.strictObject({ query: z.string() }),
  z.strictObject({ parse: z.string(), as: z.string().default('') }),
  z.strictObject({ bind: z.string(), portal: z.string().default(''), values: z.array(value).default([]) }),
  z.strictObject({ describe: z.enum(['statement', 'portal']), name: z.string().default('') }),
  z.strictObject({ execute: z.string(), rows: z.int().nonnegative().default(0) }),
  z.strictObject({ close: z.enum(['statement', 'portal']), name: z.string().default('') }),
  z.strictObject({ call: z.int().positive(), arguments: z.array(z.string()).default([]) }),
  z.strictObject({ copyData: z.string() }),
  z.strictObject({ copyDone: z.literal(true) }),
  z.strictObject({ copyFail: z.string() }),
  /** A cancel request of its own connection, with this session's process id and that one's secret. */
  z.strictObject({ cancel: z.enum(KEY_PARTS), secret: z.enum(KEY_PARTS) }),
  z.strictObject({ hex: z.string().regex(/^([0-9a-f]{2})*$/i, 'write bytes in hexadecimal') }),
  z.strictObject({ sync: z.literal(true) }),
  z.strictObject({ flush: z.literal(true) }),
  /** Everything before is sent, and its answers awaited. */
  z.strictObject({ wait: z.literal(true) }),
]);
export type ProtocolAct = z.output<typeof act>;

const attack = z.strictObject({
  title: z.string().optional(),
  /** Statements that one session sends, one after the other, whatever is answered. */
  sql: texts.optional(),
  /** Values of $1, $2 … of the last statement; sent by the extended protocol and MCP only. */
  values: z.array(value).optional(),
  /** Channels, where not all. */
  only: z.array(z.enum(CHANNELS)).optional(),
  /** How often it is sent. */
  times: z.int().min(1).max(1000).default(1),
  /** How many sessions it opens beforehand, and holds to its end. */
  sessions: z.int().min(0).max(500).default(0),
  /** Bytes go out one at a time. */
  split: z.boolean().default(false),
  /** Messages instead of SQL. */
  acts: z.array(act).optional(),
  /** A tool call, of MCP only; `sql` is then what the bare database gets. */
  tool: z.strictObject({ name: z.string(), arguments: z.record(z.string(), z.unknown()) }).optional(),
  /** Parameters of the start-up message, such as options. */
  startup: z.record(z.string(), z.string()).optional(),
  /** `harmless`: the gateway may carry it, as long as it does no harm there. */
  expect: z.enum(['refused', 'harmless']).default('refused'),
});

export const ACTORS = ['reader', 'writer', 'migrator'] as const;
/** What the bare database is given instead of a task: how people set up an agent's login without a gateway. */
export const BARE_LOGINS = ['reader', 'writer', 'read-only-owner', 'owner', 'superuser'] as const;

export const scenarioSchema = z.strictObject({
  id: z.string().regex(/^[a-z0-9][a-z0-9-]{1,60}$/, 'lower case letters, digits and dashes'),
  title: z.string().min(1),
  class: z.enum(classes),
  incident: z.enum(INCIDENTS).optional(),
  actor: z.enum(ACTORS).default('reader'),
  limits: z
    .strictObject({
      rowsPerStatement: z.int().nonnegative().optional(),
      rowsPerTask: z.int().nonnegative().optional(),
    })
    .default({}),
  bare: z.enum(BARE_LOGINS).default('reader'),
  /** The bare database stands it too: it is tried whether the gateway does. */
  bareStands: z.boolean().default(false),
  /** On the bare database the read-only default is turned off first, as anybody may there. */
  flip: z.boolean().default(false),
  /** Objects of the scenario's own, in the schema {{trap}}. */
  setup: z.string().optional(),
  setupAs: z.enum(['owner', 'superuser']).default('owner'),
  /** Its objects would change what other scenarios' statements mean: it runs after them. */
  apart: z.boolean().default(false),
  /**
   * `changed`: the fingerprint of the database. `leaked`: the canary reaches the actor. `outlasted`: it still runs when
   * its time is over. `neighbour`: another session of the same kind is disturbed.
   */
  oracle: z.enum(['changed', 'leaked', 'outlasted', 'neighbour']).default('changed'),
  /** A value that is read before each attack, by a superuser; {{before}} in `damage`. */
  before: z.string().optional(),
  /** SQL that tells, instead of the fingerprint, whether harm was done: one boolean. */
  damage: z.string().optional(),
  /** What the neighbour does, for that oracle: it must end well, and soon. */
  neighbour: z.string().default('SELECT pg_sleep(0.4)'),
  /** Channels of NOTIFY on which nothing may be heard. */
  listen: z.array(z.string()).default([]),
  attacks: z.array(z.string().min(1).or(attack)).min(1),
  /** Harmless statements of the same shape, which must work. */
  benign: z
    .array(
      z
        .string()
        .min(1)
        .or(
          attack.pick({
            title: true,
            sql: true,
            values: true,
            only: true,
            acts: true,
            split: true,
            tool: true,
            startup: true,
            sessions: true,
          }),
        ),
    )
    .default([]),
});

export const scenarioFileSchema = z.strictObject({ scenarios: z.array(scenarioSchema).min(1) });

export type ScenarioDocument = z.output<typeof scenarioSchema>;
export type AttackDocument = z.output<typeof attack>;

import { z } from 'zod';
import { approvalAgent, machine, person, role } from './schema/actors.ts';
import { breakers } from './schema/breakers.ts';
import { environment, freeze } from './schema/environments.ts';
import { identity } from './schema/identity.ts';
import { notifications } from './schema/notifications.ts';
import { state } from './schema/state.ts';
import { target } from './schema/targets.ts';
import { address, duration, name, reference, scopePattern, UNITS_MS } from './schema/values.ts';
import { witnesses } from './schema/witnesses.ts';

/** The one schema of `countersign.yaml`. What it doesn't name is refused: a misspelt key must not be a silent default. */

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
  witnesses: witnesses.optional(),
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
  notifications: notifications.prefault({}),
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

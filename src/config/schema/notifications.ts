import { z } from 'zod';
import { duration, name, overTls, reference } from './values.ts';

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

/** Who is told of what nobody may miss. */
export const notifications = z.strictObject({
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
    .refine(({ user, password }) => (user === undefined) === (password === undefined), 'user and password go together')
    .optional(),
  /** Plans in channels of Slack, to be clicked on where the environment lets clicks count. */
  slack: slack.optional(),
  /** Who is told, by mail, of a plan that still waits after so long. */
  escalation: z.array(z.strictObject({ after: duration, to: z.array(name).min(1) })).default([]),
});

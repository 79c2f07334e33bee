import { createHash } from 'node:crypto';
import { z } from 'zod';

/** A plan that somebody acted on alone, and who has looked at that. */
export interface BrokenGlass {
  readonly incident: string;
  readonly plan: string;
  readonly by: string;
  readonly applied: boolean;
  readonly reviewedBy: string | null;
}

/**
 * Holds what was applied by broken glass against what was signed for it: each apply that claims it must follow a
 * statement over that plan, by whoever applied it, within its time. Whether those keys are really theirs is for a trust
 * policy to say, as with approvals.
 */
export interface BrokenGlassClaims {
  /** Takes the entries in their order. @returns what is wrong with one, or `undefined`. */
  take(entry: string): string | undefined;
  found(): readonly BrokenGlass[];
}

const entrySchema = z.object({
  kind: z.string(),
  at: z.string(),
  subject: z.string(),
  body: z.looseObject({
    incident: z.string().optional(),
    breakGlass: z.string().optional(),
    by: z.string().optional(),
    person: z.string().optional(),
    envelope: z
      .looseObject({ payloadType: z.string(), payload: z.string(), signatures: z.array(z.unknown()).length(1) })
      .optional(),
  }),
});

const brokenSchema = z.looseObject({
  type: z.literal('https://countersign.dev/break-glass/v1'),
  plan: z.string(),
  person: z.string(),
  until: z.string(),
});
const reviewSchema = z.looseObject({
  type: z.literal('https://countersign.dev/incident-review/v1'),
  incident: z.string(),
  plan: z.string(),
  person: z.string(),
});

type Claim = z.infer<typeof entrySchema>;

export function createBrokenGlassClaims(): BrokenGlassClaims {
  const broken = new Map<string, { -readonly [K in keyof BrokenGlass]: BrokenGlass[K] } & { readonly until: string }>();
  const claimed = new Map<string, string>();

  function glass({ subject, body }: Claim): string | undefined {
    const signed = brokenSchema.safeParse(signedIn(body));
    const { incident = '', person = '' } = body;
    if (!signed.success) return 'it says that the glass was broken, and holds no statement of that';
    const { plan, until } = signed.data;
    if (plan !== subject) return 'it holds the broken glass of another plan';
    if (signed.data.person !== person) return 'it says something else than what was signed';
    if (incident !== idOf(body.envelope?.payload ?? '')) return 'it calls the incident otherwise than what was signed';
    if (broken.has(incident)) return `it opens ${incident} once more`;
    broken.set(incident, { incident, plan, by: person, until, applied: false, reviewedBy: null });
    return undefined;
  }

  function apply({ subject, body, at }: Claim): string | undefined {
    if (body.breakGlass === undefined) {
      claimed.delete(subject);
      return undefined;
    }
    const one = broken.get(body.breakGlass);
    if (one === undefined || one.plan !== subject)
      return 'it applies a plan by broken glass, and nobody signed that for this plan';
    if (one.by !== body.by) return `it applies a plan by the broken glass of ${one.by}, and ${body.by} did so`;
    if (!(at < one.until)) return `it applies a plan by broken glass that was good until ${one.until}`;
    claimed.set(subject, one.incident);
    return undefined;
  }

  function review({ subject, body }: Claim): string | undefined {
    const signed = reviewSchema.safeParse(signedIn(body));
    const one = broken.get(body.incident ?? '');
    if (!signed.success || one === undefined) return 'it reviews what did not happen, or is no review';
    if (signed.data.incident !== one.incident || signed.data.plan !== subject || one.plan !== subject)
      return 'it holds the review of another incident';
    if (signed.data.person !== body.person) return 'it says something else than what was signed';
    if (signed.data.person === one.by) return `it is a review by ${one.by}, who broke the glass`;
    one.reviewedBy = signed.data.person;
    return undefined;
  }

  return {
    take(entry) {
      // Most entries are none of these, and are told apart without being read.
      const concerns = /"break-?[gG]lass"|"incident review"/.test(entry);
      if (!concerns && (broken.size === 0 || !/"kind":"(?:apply|outcome)"/.test(entry))) return undefined;
      const read = entrySchema.safeParse(JSON.parse(entry));
      if (!read.success) return undefined;
      const { kind, subject, body } = read.data;
      if (kind === 'break-glass') return glass(read.data);
      if (kind === 'incident review') return review(read.data);
      if (kind === 'apply') return apply(read.data);
      const one = broken.get(claimed.get(subject) ?? '');
      if (kind === 'outcome' && one !== undefined && body['outcome'] === 'applied') one.applied = true;
      return undefined;
    },
    found: () => [...broken.values()].map(({ until: _, ...one }) => one),
  };
}

function signedIn(body: Claim['body']): unknown {
  try {
    return JSON.parse(Buffer.from(body.envelope?.payload ?? '', 'base64').toString('utf8'));
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

function idOf(payload: string): string {
  return `incident_${createHash('sha256').update(Buffer.from(payload, 'base64')).digest('hex').slice(0, 16)}`;
}

import { z } from 'zod';

/** An approval that somebody gave in another's place. */
export interface DelegatedApproval {
  readonly plan: string;
  readonly by: string;
  readonly inPlaceOf: string;
  readonly delegation: string;
}

/**
 * Holds approvals that were given in somebody's place against the delegations that the ledger itself tells of: each must
 * have been given to the signer, for that environment, and stand then. Whose keys these are is for a trust policy to say.
 */
export interface DelegatedApprovals {
  /** Takes the entries in their order. @returns what is wrong with one, or `undefined`. */
  take(entry: string): string | undefined;
  found(): readonly DelegatedApproval[];
}

const envelope = z.object({ payload: z.string() });
const entrySchema = z.object({
  kind: z.string(),
  at: z.string(),
  subject: z.string(),
  body: z.looseObject({ event: z.string().optional(), envelope: envelope.optional() }),
});
const givenSchema = z.object({ person: z.string(), to: z.string(), environment: z.string(), until: z.string() });
const approvalSchema = z.object({ person: z.string(), environment: z.string(), delegation: z.string() });

export function createDelegatedApprovals(): DelegatedApprovals {
  const standing = new Map<string, z.infer<typeof givenSchema>>();
  const found: DelegatedApproval[] = [];
  return {
    take(text) {
      // Most entries are none of these, and are told apart without being read. Of an approval only its signature counts.
      if (!/"kind":"(?:approval|delegation)"/.test(text)) return undefined;
      const read = entrySchema.safeParse(JSON.parse(text));
      if (!read.success) return undefined;
      const { kind, subject, body, at } = read.data;
      if (kind === 'delegation') {
        const given = givenSchema.safeParse(signedIn(body));
        if (body.event === 'delegated' && given.success) standing.set(subject, given.data);
        else standing.delete(subject);
        return undefined;
      }
      const approval = kind === 'approval' ? approvalSchema.safeParse(signedIn(body)) : undefined;
      if (approval?.success !== true) return undefined;
      const { person, environment, delegation } = approval.data;
      const given = standing.get(delegation);
      if (given === undefined || !(at < given.until))
        return `${person} signed it by ${delegation}, which did not stand`;
      if (given.to !== person || given.environment !== environment)
        return `${person} signed it by ${delegation}, which was given to another or for elsewhere`;
      found.push({ plan: subject, by: person, inPlaceOf: given.person, delegation });
      return undefined;
    },
    found: () => found,
  };
}

function signedIn(body: { readonly envelope?: z.infer<typeof envelope> | undefined }): unknown {
  try {
    return JSON.parse(Buffer.from(body.envelope?.payload ?? '', 'base64').toString('utf8'));
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

import { createHash } from 'node:crypto';
import { canonicalJson, type Json } from '../domain/digest.ts';
import type { Entry } from '../domain/entry.ts';

/** An entry with its place and the very bytes that are hashed. */
export interface PlacedEntry {
  readonly index: number;
  readonly text: string;
  readonly entry: Entry;
}

export const STATEMENT_TYPE = 'application/vnd.in-toto+json';
const PREDICATE_TYPE = 'https://countersign.dev/action/v1';

/**
 * What entries say of an action, as an in-toto Statement v1 (in-toto/attestation). It is a function of the entries and
 * the checkpoint, and says nothing that they don't: whoever verifies derives it anew and compares
 * (docs/proof-format.md).
 */
export function actionStatement(of: {
  readonly origin: string;
  readonly about: string;
  readonly checkpoint: string;
  readonly earlier: string | null;
  readonly entries: readonly PlacedEntry[];
}): Json {
  const { origin, about, checkpoint, earlier, entries } = of;
  const subjects = [...new Set(entries.map(({ entry }) => entry.subject))];
  const actions = subjects.flatMap((subject) => actionOf(entries.filter(({ entry }) => entry.subject === subject)));
  return {
    _type: 'https://in-toto.io/Statement/v1',
    subject: [
      { name: 'checkpoint', digest: { sha256: sha256(checkpoint) } },
      ...(earlier === null ? [] : [{ name: 'earlier checkpoint', digest: { sha256: sha256(earlier) } }]),
      ...entries.map(({ index, text }) => ({ name: `entry/${index}`, digest: { sha256: sha256(text) } })),
    ],
    predicateType: PREDICATE_TYPE,
    predicate: {
      tool: { name: 'countersign', origin },
      about,
      task: entries.find(({ entry }) => entry.kind === 'task opened')?.entry.body ?? null,
      actions,
    },
  };
}

type Body = Readonly<Record<string, Json | undefined>>;

/** What was asked, decided, approved, measured and done, of the entries of one subject; nothing for other subjects. */
function actionOf(entries: readonly PlacedEntry[]): Json[] {
  const first = entries.find(({ entry }) => entry.kind === 'plan' || entry.kind === 'intent');
  if (first === undefined) return [];
  const said = bodyOf(first.entry);
  const done = entries.filter(({ entry }) => entry.kind === 'outcome').at(-1);
  const effect = entries.filter(({ entry }) => entry.kind === 'intent').at(-1);
  return [
    {
      id: first.entry.subject,
      kind: first.entry.kind === 'plan' ? 'plan' : 'write',
      at: first.entry.at,
      ...picked(said, ['task', 'actor', 'owner', 'onBehalfOf', 'channel', 'target', 'environment', 'identity']),
      input: said['statements'] ?? [],
      decision: picked(said, ['decision', 'policies', 'policyDigest']),
      plan: said['plan'] ?? null,
      measured: said['measured'] ?? null,
      ...picked(said, ['undo', 'undoes', 'merges', 'purges', 'askedBy', 'kept', 'backup']),
      approvals: entries.flatMap(verdictOf),
      ...glassOf(entries),
      effect: effect === undefined ? null : { at: effect.entry.at, ...picked(bodyOf(effect.entry), ['xid', 'effect']) },
      outcome:
        done === undefined
          ? null
          : {
              at: done.entry.at,
              ...picked(bodyOf(done.entry), ['outcome', 'xid', 'effect', 'rows', 'tables', 'recovered', 'why', 'undo']),
            },
    },
  ];
}

function verdictOf({ index, entry }: PlacedEntry): Json[] {
  const { envelope, ...body } = bodyOf(entry);
  if ((entry.kind !== 'approval' && entry.kind !== 'rejection') || envelope === undefined) return [];
  return [
    {
      entry: index,
      at: entry.at,
      verdict: entry.kind,
      ...picked(body, ['person', 'agent', 'owner', 'via', 'reason']),
      envelope: `sha256:${sha256(canonicalJson(envelope))}`,
    },
  ];
}

/** Who acted on it alone, and who has looked at that; left out where nobody did. */
function glassOf(entries: readonly PlacedEntry[]): { readonly breakGlass?: Json } {
  const said = entries.flatMap(({ index, entry }) => {
    const { envelope, ...body } = bodyOf(entry);
    if ((entry.kind !== 'break-glass' && entry.kind !== 'incident review') || envelope === undefined) return [];
    return [
      {
        entry: index,
        at: entry.at,
        event: entry.kind === 'break-glass' ? 'broken' : 'reviewed',
        ...picked(body, ['incident', 'person', 'reason', 'standsInFor', 'until']),
        envelope: `sha256:${sha256(canonicalJson(envelope))}`,
      },
    ];
  });
  return said.length === 0 ? {} : { breakGlass: said };
}

function picked(body: Body, names: readonly string[]): Body {
  return Object.fromEntries(names.flatMap((name) => (body[name] === undefined ? [] : [[name, body[name]]])));
}

function bodyOf({ body }: Entry): Body {
  return typeof body === 'object' && body !== null && !Array.isArray(body) ? (body as Body) : {};
}

function sha256(text: string): string {
  return createHash('sha256').update(text, 'utf8').digest('hex');
}

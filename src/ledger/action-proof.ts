import { canonicalJson, type Json } from '../domain/digest.ts';
import type { Entry } from '../domain/entry.ts';
import { beginsWith } from '../store/prefix.ts';
import { statements } from '../store/schema.ts';
import type { Store } from '../store/store.ts';
import { actionStatement, type PlacedEntry, STATEMENT_TYPE } from './action-statement.ts';
import { checkpointSize } from './checkpoint.ts';
import { newestCheckpointWith } from './checkpoint-notes.ts';
import { readSuccession } from './key-succession.ts';
import type { Ledger } from './ledger.ts';
import { preAuthenticationEncoding } from './pre-authentication-encoding.ts';
import { keyId, type SigningKey } from './signing-key.ts';

/** Beyond this the whole ledger is the better proof. */
const MAX_ENTRIES = 10_000;

/** An action has more entries than one file is meant for. */
export class TooManyEntries extends RangeError {
  constructor(subject: string) {
    super(`${subject} has more than ${MAX_ENTRIES} entries`);
    this.name = 'TooManyEntries';
  }
}

/**
 * Makes the proof of one action: canonical JSON, a value a line. What each line holds is told in docs/proof-format.md. It
 * leads to the newest checkpoint that others cosigned, if that covers the action, and else to the newest.
 *
 * @param subject as `subjectNamed` finds it. @param kept a checkpoint that somebody has from earlier.
 * @throws TooManyEntries; Error when `kept` is no checkpoint of this ledger.
 */
export async function proveAction(
  { store, ledger, key }: { readonly store: Store; readonly ledger: Ledger; readonly key: SigningKey },
  subject: string,
  kept?: string,
): Promise<string> {
  // First: what is appended after it is no part of the proof.
  const newest = await ledger.checkpoint();
  const succession = await readSuccession(store, ledger.verifierKey);
  const entries = await entriesAbout(store, subject, checkpointSize(newest));
  const needed = Math.max(
    (entries.at(-1)?.index ?? 0) + 1,
    kept === undefined ? 0 : succession.open(kept).size,
    // So that the key that is in force now signed all of it.
    succession.keys.at(-1)?.from ?? 0,
  );
  const checkpoint = (await newestCheckpointWith(store, (note) => checkpointSize(note) >= needed)) ?? newest;
  const size = checkpointSize(checkpoint);
  const proven: Json[] = [];
  for (const { index, text } of entries) {
    proven.push({ index, entry: text, inclusion: base64(await ledger.inclusionProof(index, size)) });
  }
  const earlier = kept ?? null;
  const consistency = earlier === null ? [] : [await grownFrom(earlier, size)];
  const statement = actionStatement({ origin: ledger.origin, about: subject, checkpoint, earlier, entries });
  const lines: Json[] = [
    { countersign: 'proof/v1', about: subject, verifierKey: ledger.verifierKey },
    envelope(statement, key),
    { checkpoint },
    ...consistency,
    ...proven,
  ];
  return lines.map((line) => `${canonicalJson(line)}\n`).join('');

  async function grownFrom(note: string, to: number): Promise<Json> {
    const from = checkpointSize(note);
    if (from > to) throw new Error(`the checkpoint that was kept is of ${from} entries, and this ledger has ${to}`);
    return { earlier: note, consistency: base64(await ledger.consistencyProof(from, to)) };
  }
}

/** The one subject that is called so or whose id begins so. */
export async function subjectNamed(store: Store, named: string): Promise<string | 'none' | 'several'> {
  const forms = [named, `sha256:${named.toLowerCase()}`];
  const rows = await store.all(
    statements
      .selectFrom('ledger_entries')
      .select('subject')
      .distinct()
      .where('kind', 'in', ['task opened', 'plan', 'intent'])
      .where(({ or }) => or(forms.map((form) => beginsWith('subject', form))))
      .limit(2),
  );
  if (rows.length > 1) return rows.find(({ subject }) => forms.includes(subject))?.subject ?? 'several';
  return rows[0]?.subject ?? 'none';
}

/** The entries about it, with the opening of its task and the changes of key; of a task also those of its plans and writes. */
async function entriesAbout(store: Store, subject: string, size: number): Promise<readonly PlacedEntry[]> {
  const own = await entriesOf(store, [subject], size);
  const task = own.map(({ entry }) => entry.body as { readonly task?: Json }).find((body) => body?.task !== undefined);
  const more = own.some(({ entry }) => entry.kind === 'task opened')
    ? await entriesOf(store, await actionsOf(store, subject), size)
    : (await entriesOf(store, [String(task?.task ?? '')], size)).filter(({ entry }) => entry.kind === 'task opened');
  const lent = await entriesOf(store, delegationsOf([...own, ...more]), size);
  const all = [...own, ...more, ...lent, ...(await keysOf(store, size))].sort((a, b) => a.index - b.index);
  if (all.length > MAX_ENTRIES) throw new TooManyEntries(subject);
  return all;
}

/** By which people decided in others' places: without these their approvals would count for nothing. */
function delegationsOf(entries: readonly PlacedEntry[]): readonly string[] {
  const named = entries.map(({ entry }) => (entry.body as { readonly delegation?: Json } | null)?.delegation);
  return [...new Set(named.filter((one) => typeof one === 'string'))];
}

async function keysOf(store: Store, size: number): Promise<PlacedEntry[]> {
  const rows = await store.all(
    statements.selectFrom('ledger_entries').select(['idx', 'entry']).where('kind', '=', 'key').where('idx', '<', size),
  );
  return rows.map(({ idx, entry }) => ({ index: idx, text: entry, entry: JSON.parse(entry) as Entry }));
}

async function actionsOf(store: Store, task: string): Promise<readonly string[]> {
  const plans = await store.all(statements.selectFrom('plans').select('id').where('task', '=', task));
  const writes = await store.all(statements.selectFrom('intents').select('id').where('task', '=', task));
  return [...plans, ...writes].map(({ id }) => id);
}

const PAGE = 500;

async function entriesOf(store: Store, subjects: readonly string[], size: number): Promise<PlacedEntry[]> {
  const found: PlacedEntry[] = [];
  for (let from = 0; from < subjects.length && found.length <= MAX_ENTRIES; from += PAGE) {
    const rows = await store.all(
      statements
        .selectFrom('ledger_entries')
        .select(['idx', 'entry'])
        .where('subject', 'in', subjects.slice(from, from + PAGE))
        .where('idx', '<', size)
        .orderBy('idx')
        .limit(MAX_ENTRIES + 1),
    );
    for (const { idx, entry } of rows) found.push({ index: idx, text: entry, entry: JSON.parse(entry) as Entry });
  }
  return found;
}

/** A DSSE envelope with the ledger's own signature. */
function envelope(statement: Json, key: SigningKey): Json {
  const payload = Buffer.from(canonicalJson(statement), 'utf8');
  const signature = key.sign(preAuthenticationEncoding(STATEMENT_TYPE, payload));
  return {
    payloadType: STATEMENT_TYPE,
    payload: payload.toString('base64'),
    signatures: [{ keyid: keyId(key.publicKey), sig: signature.toString('base64') }],
  };
}

function base64(hashes: readonly Buffer[]): string[] {
  return hashes.map((hash) => hash.toString('base64'));
}

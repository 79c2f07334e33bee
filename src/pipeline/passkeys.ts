import { verifyPasskey } from '../approval/passkey.ts';
import type { Person } from '../domain/actor.ts';
import type { Json } from '../domain/digest.ts';
import type { Entry } from '../domain/entry.ts';
import type { ActorId } from '../domain/ids.ts';
import type { Passkey } from '../domain/passkey.ts';
import { readSuccession } from '../ledger/key-succession.ts';
import { parseVerifierKey } from '../ledger/signing-key.ts';
import { allPasskeys } from '../store/passkeys.ts';
import { type PasskeyRow, statements } from '../store/schema.ts';
import type { Store } from '../store/store.ts';

/** Which passkeys of which people count. */
export interface KnownPasskeys {
  /** The people with the passkeys that are vouched for. Looks at memory only; equal maps mean that nothing has changed. */
  withPasskeys(people: ReadonlyMap<ActorId, Person>): ReadonlyMap<ActorId, Person>;
  /** Reads them again: another process may have registered one, or taken one back. */
  refresh(): Promise<void>;
}

export async function createKnownPasskeys(deps: {
  readonly store: Store;
  readonly verifierKey: string;
}): Promise<KnownPasskeys> {
  let rows: readonly PasskeyRow[] = [];
  let ledgerKeys: readonly Buffer[] = [];
  const made = new WeakMap<
    ReadonlyMap<ActorId, Person>,
    { rows: readonly PasskeyRow[]; people: Map<ActorId, Person> }
  >();

  async function refresh(): Promise<void> {
    const kept = (await allPasskeys(deps.store)).filter(({ envelope }) => envelope !== null);
    const standing = await confirmedLast(deps.store, kept);
    const read = kept.filter(({ id }) => standing.has(id));
    const { keys } = await readSuccession(deps.store, deps.verifierKey);
    ledgerKeys = keys.map(({ verifierKey }) => parseVerifierKey(verifierKey).publicKey);
    // Their counters tell nothing of who they are.
    const said = (of: readonly PasskeyRow[]) => JSON.stringify(of.map(({ envelope }) => envelope));
    if (said(read) !== said(rows)) rows = read;
  }

  await refresh();
  return {
    refresh,
    withPasskeys(configured) {
      const before = made.get(configured);
      if (before?.rows === rows) return before.people;
      const people = new Map(configured);
      // One that another vouches for counts once that one does, so this ends when a round has found no more.
      let open = rows.map(({ envelope }) => JSON.parse(envelope ?? 'null') as unknown);
      for (let before = -1; before !== open.length; ) {
        before = open.length;
        // The state is no authority: only what the right key has signed counts.
        open = open.filter((envelope) => !taken(verifyPasskey(envelope, { people, ledgerKeys }), people));
      }
      made.set(configured, { rows, people });
      return people;
    },
  };
}

function taken(passkey: Passkey | undefined, people: Map<ActorId, Person>): boolean {
  const person = passkey === undefined ? undefined : people.get(passkey.person);
  if (passkey === undefined || person === undefined) return false;
  // One device that counts as two people would be a quorum by itself.
  const others = [...people.values()].flatMap(({ passkeys }) => passkeys);
  if (others.some(({ publicKey }) => publicKey === passkey.publicKey)) return false;
  people.set(person.id, { ...person, passkeys: [...person.passkeys, passkey] });
  return true;
}

/** A row that somebody puts back after the passkey was taken back would still be signed: the ledger says what came last. */
async function confirmedLast(store: Store, rows: readonly PasskeyRow[]): Promise<ReadonlySet<string>> {
  if (rows.length === 0) return new Set();
  const said = await store.all(
    statements
      .selectFrom('ledger_entries')
      .select(['subject', 'entry'])
      .where('kind', '=', 'passkey')
      .where(
        'subject',
        'in',
        rows.map(({ id }) => id),
      )
      .orderBy('idx'),
  );
  const last = new Map(said.map(({ subject, entry }) => [subject, JSON.parse(entry) as Entry]));
  return new Set([...last].flatMap(([id, { body }]) => ((body as { event?: Json }).event === 'confirmed' ? [id] : [])));
}

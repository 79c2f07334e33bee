import { canonicalJson, type Json } from '../domain/digest.ts';
import { statements } from '../store/schema.ts';
import type { Reader } from '../store/store.ts';
import { type Checkpoint, checkpointSize, openCheckpoint } from './checkpoint.ts';
import { preAuthenticationEncoding } from './pre-authentication-encoding.ts';
import { keyId, parseVerifierKey, type SigningKey, verifierKey, verifyEd25519 } from './signing-key.ts';

/** The keys of a ledger, one after the other. Which counts is told by the size of a tree, never by a clock. */
export interface KeySuccession {
  /** First first; `from`: the smallest tree that the key signs. */
  readonly keys: readonly KeyInForce[];
  /** Opens a checkpoint with the key that signs trees of its size. @throws Error as `openCheckpoint`. */
  open(note: string): Checkpoint;
}

export interface KeyInForce {
  readonly from: number;
  readonly verifierKey: string;
}

/** An entry by which one key gives way to another, as it is kept. */
export interface KeptRotation {
  readonly index: number;
  readonly entry: string;
}

const PAYLOAD_TYPE = 'application/vnd.countersign.key-rotation+json';

/**
 * What the entry of a rotation says: signed with both keys, so that whoever trusts either of them knows the other.
 *
 * @param from the tree that ends with this entry is the first that the new key signs.
 */
export function rotationBody(before: SigningKey, after: SigningKey, from: number): Json {
  const said = {
    origin: before.name,
    before: verifierKey(before.name, before.publicKey),
    after: verifierKey(after.name, after.publicKey),
    from,
  };
  const signatures = [before, after].map((key) => ({
    keyid: keyId(key.publicKey),
    sig: key.sign(signedOf(said)).toString('base64'),
  }));
  return { ...said, signatures };
}

function signedOf(said: { readonly [name: string]: Json }): Buffer {
  const statement = { type: 'https://countersign.dev/key-rotation/v1', ...said };
  return preAuthenticationEncoding(PAYLOAD_TYPE, Buffer.from(canonicalJson(statement), 'utf8'));
}

/** The keys of the ledger in a store. @param current the verifier key in force now. */
export async function readSuccession(reader: Reader, current: string): Promise<KeySuccession> {
  const rows = await reader.all(
    statements.selectFrom('ledger_entries').select(['idx', 'entry']).where('kind', '=', 'key').orderBy('idx'),
  );
  return successionOf(
    rows.map(({ idx, entry }) => ({ index: idx, entry })),
    current,
  );
}

/**
 * @param named a key that the ledger names as its own: the first or the last.
 * @throws Error when a rotation isn't signed by both keys, or they don't follow one another.
 */
export function successionOf(rotations: readonly KeptRotation[], named: string): KeySuccession {
  const keys: KeyInForce[] = [];
  for (const { index, entry } of rotations) {
    const { before, after } = verifiedRotation(index, entry);
    if (keys.length === 0) keys.push({ from: 0, verifierKey: before });
    if (keys.at(-1)?.verifierKey !== before)
      throw new Error(`entry ${index} takes over from a key that was not in force`);
    keys.push({ from: index + 1, verifierKey: after });
  }
  if (keys.length === 0) keys.push({ from: 0, verifierKey: named });
  if (named !== keys[0]?.verifierKey && named !== keys.at(-1)?.verifierKey) {
    throw new Error(`the copy names ${named} as its key, which is neither the first nor the last of its keys`);
  }
  return {
    keys,
    open(note) {
      const size = checkpointSize(note);
      const { verifierKey: text = named } = keys.findLast(({ from }) => from <= size) ?? {};
      return openCheckpoint(note, parseVerifierKey(text));
    },
  };
}

/** @throws Error when it isn't signed by both keys for the place where it stands. */
function verifiedRotation(index: number, entry: string): { readonly before: string; readonly after: string } {
  const { kind, body } = JSON.parse(entry) as { kind: string; body: { [name: string]: Json } };
  const { signatures, ...said } = body;
  const [before = '', after = ''] = [said['before'], said['after']].map(String);
  const sigs = (signatures ?? []) as readonly { readonly keyid: string; readonly sig: string }[];
  const message = signedOf(said);
  const valid = [before, after].every((text, n) => {
    const { name, publicKey } = parseVerifierKey(text);
    const { keyid, sig = '' } = sigs[n] ?? {};
    return (
      name === said['origin'] &&
      keyid === keyId(publicKey) &&
      verifyEd25519(publicKey, message, Buffer.from(sig, 'base64'))
    );
  });
  if (kind !== 'key' || said['from'] !== index + 1 || sigs.length !== 2 || !valid) {
    throw new Error(`entry ${index} hands the ledger to another key without both signatures`);
  }
  return { before, after };
}

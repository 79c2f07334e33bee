import { createPublicKey } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { bundleFromJSON } from '@sigstore/bundle';
import { toSignedEntity, toTrustMaterial, Verifier } from '@sigstore/verify';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { proveAction } from '../../src/ledger/action-proof.ts';
import { loadSigningKey, type SigningKey } from '../../src/ledger/signing-key.ts';
import { hasGo, runGo } from '../fixtures/go.ts';
import { planned, type WrittenHistory, writtenHistory } from '../fixtures/history.ts';

interface Envelope {
  readonly payloadType: string;
  readonly payload: string;
  readonly signatures: readonly { readonly keyid: string; readonly sig: string }[];
}

/** RFC 8410: what comes before the 32 bytes of an Ed25519 key in DER. */
const SPKI = Buffer.from('302a300506032b6570032100', 'hex');

/** As sigstore verifies a bundle whose key its user brings along, with no log and no clock of theirs. */
function verifyBySigstore(envelope: Envelope, publicKey: Uint8Array): void {
  const rawBytes = createPublicKey({ key: Buffer.concat([SPKI, publicKey]), format: 'der', type: 'spki' }).export({
    format: 'der',
    type: 'spki',
  });
  const nobody = { mediaType: '', certificateAuthorities: [], timestampAuthorities: [], tlogs: [], ctlogs: [] };
  const trust = toTrustMaterial(nobody, { key: { rawBytes, keyDetails: 7 } });
  const bundle = bundleFromJSON({
    mediaType: 'application/vnd.dev.sigstore.bundle.v0.3+json',
    verificationMaterial: { publicKey: { hint: 'key' }, tlogEntries: [] },
    dsseEnvelope: envelope,
  });
  new Verifier(trust, { tlogThreshold: 0, ctlogThreshold: 0, timestampThreshold: 0 }).verify(toSignedEntity(bundle));
}

describe('G7 programs that know nothing of Countersign', () => {
  let made: WrittenHistory;
  let key: SigningKey;
  let file: string;
  let lines: string[];

  beforeAll(async () => {
    made = await writtenHistory();
    const kept = await made.ledger.checkpoint();
    const { id, plan, approval, apply, intent, outcome } = planned('one');
    await made.append(plan, approval('ada', made.person('ada')));
    await made.append(planned('another').plan, apply, intent(), outcome());
    key = loadSigningKey(join(made.directory, 'ledger.key'), made.ledger.origin);
    file = join(made.directory, 'proof.jsonl');
    const proof = await proveAction({ ...made, key }, id, kept);
    writeFileSync(file, proof);
    lines = proof.split('\n');
  });
  afterAll(() => made?.remove());

  it('sigstore verifies the statement and the approval, and neither with another key or another word', () => {
    const statement = JSON.parse(lines[1] ?? '') as Envelope;
    const approval = lines
      .flatMap((line) => (line === '' ? [] : [JSON.parse(line) as { entry?: string }]))
      .flatMap(({ entry }) => (entry === undefined ? [] : [JSON.parse(entry) as { body: { envelope?: Envelope } }]))
      .find(({ body }) => body.envelope !== undefined)?.body.envelope;
    if (approval === undefined) throw new Error('there is no approval in the proof');
    const [ada, grace] = [made.person('ada').publicKey, made.person('grace').publicKey];
    verifyBySigstore(statement, key.publicKey);
    verifyBySigstore(approval, ada);
    expect(statement.payloadType).toBe('application/vnd.in-toto+json');
    for (const [envelope, own, other] of [
      [statement, key.publicKey, ada],
      [approval, ada, grace],
    ] as const) {
      expect(() => verifyBySigstore(envelope, other)).toThrow('signature verification failed');
      const payload = Buffer.from(Buffer.from(envelope.payload, 'base64').toString().replace(/\d/, '8')).toString(
        'base64',
      );
      expect(() => verifyBySigstore({ ...envelope, payload }, own)).toThrow('signature verification failed');
    }
  });

  it.skipIf(!hasGo)(
    'Go’s checksum database verifies checkpoint, growth and each entry, and finds what is changed',
    async () => {
      const check = (text: string) => {
        writeFileSync(file, text);
        return runGo('third_party.go', file, made.ledger.verifierKey);
      };
      expect(await check(lines.join('\n'))).toBe('entries 5 size 7 grown true');
      const entry = lines.findIndex((line) => line.startsWith('{"entry"'));
      const changed = lines.with(entry, (lines[entry] ?? '').replace('rental', 'retail'));
      expect(await check(changed.join('\n'))).toBe('refused: invalid transparency proof');
      const shorter = lines.join('\n').replaceAll('\\n7\\n', '\\n6\\n');
      expect(await check(shorter)).toContain('refused: invalid signature for key');
    },
  );
});

import { createWriteStream, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { challengeOf } from '../../src/approval/dsse.ts';
import type { ApprovalEnvelope } from '../../src/domain/approval.ts';
import type { Json } from '../../src/domain/digest.ts';
import { asId } from '../../src/domain/ids.ts';
import { proveAction } from '../../src/ledger/action-proof.ts';
import { exportLedger } from '../../src/ledger/archive.ts';
import { signCheckpoint } from '../../src/ledger/checkpoint.ts';
import { keepCosignatures } from '../../src/ledger/checkpoint-notes.ts';
import { cosign } from '../../src/ledger/cosignature.ts';
import { COSIGNATURE, keyId, loadSigningKey, verifierKey } from '../../src/ledger/signing-key.ts';
import { verifyLedger } from '../../src/ledger/verify.ts';
import { rawKey } from '../../src/ledger/webauthn-signature.ts';
import { newAuthenticator, type Wrongly } from '../fixtures/authenticator.ts';
import { entryOf, IDENTITY, planned, type WrittenHistory, writtenHistory } from '../fixtures/history.ts';
import { hasPython, python, verifyAsStranger } from '../fixtures/verifier.ts';

describe.skipIf(!hasPython)('the independent verifier', () => {
  it('computes what RFC 8032, RFC 6979, RFC 6962 and RFC 8785 say, and refuses every other form', async () => {
    const primitives = new URL('./primitives.py', import.meta.url).pathname;
    expect(await python(primitives)).toEqual({ code: 0, signatures: [], curves: [], trees: [], texts: [] });
  });
});

/** What the log's own key signed, and what still isn't so: the operator is the one who is not trusted here. */
describe.skipIf(!hasPython)('G7 an operator who forges', () => {
  let made: WrittenHistory;
  beforeEach(async () => {
    made = await writtenHistory();
  });
  afterEach(() => made.remove());

  async function exported(name = 'all.jsonl'): Promise<string> {
    const file = join(made.directory, name);
    await pipeline(exportLedger(made.store, made.ledger), createWriteStream(file));
    return file;
  }
  const key = () => loadSigningKey(join(made.directory, 'ledger.key'), made.ledger.origin);
  async function problem(trust = made.trust, ...more: string[]): Promise<string> {
    const { code, problem: said = 'sound' } = await verifyAsStranger(await exported(), trust, ...more);
    expect(code, said).toBe(said === 'sound' ? 0 : 1);
    return said;
  }
  function kept(note: string, name = 'kept'): string {
    const file = join(made.directory, name);
    writeFileSync(file, note);
    return file;
  }

  it('is believed when all is well', async () => {
    const { plan, approval, apply, intent, outcome } = planned('one');
    const ada = approval('ada', made.person('ada'));
    await made.append(plan, ada, apply, intent(), outcome('not applied'), apply, intent(), outcome());
    expect(await problem()).toBe('sound');
  });

  it('can’t replay an approval of another environment, or of another plan', async () => {
    const { plan, approval, apply } = planned('one');
    const staging = { environment: asId<never>('staging') };
    await made.append(plan, approval('ada', made.person('ada'), staging), apply);
    expect(await problem()).toContain('another environment or target');
  });

  it('can’t put an approval of one plan to another', async () => {
    const [one, two] = [planned('one'), planned('two')];
    const replayed = { ...one.approval('ada', made.person('ada')), subject: two.id };
    await made.append(one.plan, two.plan, replayed, two.apply);
    expect(await problem()).toContain('approval of another plan');
  });

  it('can’t apply without the people who are needed, nor with one of them twice', async () => {
    const two = made.trusting((policy) => ({ ...policy, environments: { production: { quorum: 2 } } }));
    const { plan, approval, apply } = planned('one');
    await made.append(plan, approval('ada', made.person('ada')), apply);
    expect(await problem(two)).toContain('1 of 2 people');
  });

  it('can’t count a person twice, nor one key under two names', async () => {
    const { plan, approval } = planned('one');
    const ada = made.person('ada');
    await made.append(plan, approval('ada', ada), approval('ada', ada));
    expect(await problem()).toContain('second verdict of ada');
    const twice = made.trusting((policy) => {
      const people = policy['people'] as Record<string, { keys: string[]; approves: string[] }>;
      return { ...policy, people: { ...people, grace: { keys: people['ada']?.keys ?? [], approves: ['*'] } } };
    });
    expect(await verifyAsStranger(await exported('twice'), twice)).toMatchObject({
      code: 2,
      problem: expect.stringContaining('one key stands in it twice'),
    });
  });

  it('can’t let somebody else sign, who asked for it, or whose signature it isn’t', async () => {
    const { plan, approval } = planned('one', { onBehalfOf: 'ada' });
    await made.append(plan, approval('ada', made.person('ada')));
    expect(await problem()).toContain('ada, who asked for it');
  });

  it('can’t sign for a person', async () => {
    const { plan, approval } = planned('one');
    await made.append(plan, approval('ada', made.person('mallory')));
    expect(await problem()).toContain('no valid signature of ada');
  });

  it('can’t countersign with a passkey that isn’t the person’s, nor for another verdict, page or name', async () => {
    const device = newAuthenticator();
    const [rpId, origin] = ['countersign.example', 'https://countersign.example'];
    const options = { challenge: Buffer.alloc(32).toString('base64url'), rp: { id: rpId }, rpId };
    const publicKey = device.publicKey;
    const passkey = { publicKey, credential: device.credential, rpId, origin };
    const trust = made.trusting((policy) => {
      const { credential } = passkey;
      const ada = { keys: [], passkeys: [{ key: publicKey, credential, rpId, origin }], approves: ['production'] };
      return { ...policy, people: { ada } };
    });
    const { plan, approval } = planned('one');
    const signed = (wrongly: Wrongly) => {
      const entry = approval('ada', made.person('ada'));
      const { envelope, ...said } = entry.body as unknown as { envelope: ApprovalEnvelope };
      const challenge = challengeOf(envelope.payloadType, Buffer.from(envelope.payload, 'base64'));
      const { response } = device.get({ ...options, challenge: challenge.toString('base64url') }, origin, wrongly);
      const base64 = (text: string) => Buffer.from(text, 'base64url').toString('base64');
      const signature = {
        keyid: keyId(rawKey(publicKey)),
        sig: base64(response.signature),
        webauthn: {
          credential: device.credential,
          authenticatorData: base64(response.authenticatorData),
          clientData: base64(response.clientDataJSON),
        },
      };
      return { ...entry, body: { ...said, envelope: { ...envelope, signatures: [signature] } } as unknown as Json };
    };
    const confirmed = entryOf('passkey', 'passkey_1', { ...passkey, event: 'confirmed', person: 'ada' });
    await made.append(confirmed, plan, signed({}));
    expect(await problem(trust)).toBe('sound');
    expect(await verifyLedger(made.path)).toMatchObject({ verdict: 'sound' });
    const wrong: Wrongly[] = [
      { by: newAuthenticator() },
      { origin: 'https://evil.example' },
      { rpId: 'evil.example' },
      { challenge: options.challenge },
      { crossOrigin: true },
      { flags: 0x01 },
    ];
    for (const wrongly of wrong) {
      const forged = await writtenHistory();
      await forged.append(confirmed, plan, signed(wrongly));
      const file = join(forged.directory, 'forged.jsonl');
      await pipeline(exportLedger(forged.store, forged.ledger), createWriteStream(file));
      const policy = JSON.parse(readFileSync(trust, 'utf8')) as object;
      const own = join(forged.directory, 'trust.json');
      writeFileSync(own, JSON.stringify({ ...policy, log: forged.ledger.verifierKey }));
      const said = Object.keys(wrongly).join();
      expect((await verifyAsStranger(file, own)).problem, said).toContain('no valid signature of ada');
      expect(await verifyLedger(forged.path), said).toMatchObject({ verdict: 'tampered', entry: 3 });
      await forged.remove();
    }
  });

  it.each([
    ['another effect', (of: ReturnType<typeof planned>) => of.intent(IDENTITY), 'another effect'],
    [
      'more rows',
      (of: ReturnType<typeof planned>) =>
        of.outcome('applied', {
          tables: [{ table: 'public.customers', inserted: 0, updated: 0, deleted: 4, truncated: 0 }],
        }),
      'more rows of public.customers',
    ],
    ['a second effect', (of: ReturnType<typeof planned>) => of.apply, 'applies a plan that is under way'],
  ])('can’t record %s than was approved', async (_, forged, said) => {
    const of = planned('one');
    await made.append(of.plan, of.approval('ada', made.person('ada')), of.apply, forged(of));
    expect(await problem()).toContain(said);
  });

  it('can’t record two outcomes, or an effect that nothing announced', async () => {
    const { plan, approval, apply, intent, outcome } = planned('one');
    await made.append(plan, approval('ada', made.person('ada')), apply, intent(), outcome(), outcome('failed'));
    expect(await problem()).toContain('second outcome');
  });

  it('can’t change more rows than the task declared', async () => {
    const tables = [{ table: 'public.customers', inserted: 0, updated: 60, deleted: 0, truncated: 0 }];
    const body = {
      task: 'task_01',
      environment: 'production',
      identity: IDENTITY,
      decision: 'allow',
      measured: tables,
    };
    await made.append(
      entryOf('task opened', 'task_01', { id: 'task_01', limits: { rowsPerTask: 100 } }),
      entryOf('intent', 'intent_1', { intent: 'intent_1', ...body }),
      entryOf('outcome', 'intent_1', { intent: 'intent_1', outcome: 'not applied' }),
      entryOf('intent', 'intent_2', { intent: 'intent_2', ...body }),
      entryOf('intent', 'intent_3', { intent: 'intent_3', ...body }),
    );
    expect(await problem()).toContain('more rows than task task_01 declared');
  });

  it('can’t show two heads: whoever kept one sees that the other is a fork', async () => {
    await made.append(entryOf('halt', 'halt_1', {}));
    const root = Buffer.alloc(32, 7);
    const other = signCheckpoint({ origin: made.ledger.origin, size: 2, root }, key());
    await made.append(entryOf('halt', 'halt_2', {}));
    expect(await problem(made.trust, '--kept', kept(other))).toContain('it is a fork');
  });

  it('can’t pass off a witness’ old cosignature as one of what came later', async () => {
    const witness = { ...made.person('witness'), name: 'witness.example/one' };
    await made.append(entryOf('halt', 'halt_1', {}));
    const older = await made.ledger.checkpoint();
    const line = cosign(older, witness, 1_767_225_600).trimEnd();
    await keepCosignatures(made.store, 2, older, [line]);
    const trusting = (unwitnessed: number) => {
      const keys = [verifierKey(witness.name, witness.publicKey, COSIGNATURE)];
      return made.trusting((policy) => ({ ...policy, witnesses: { keys, quorum: 1, unwitnessed } }));
    };
    expect(await verifyAsStranger(await exported('fresh'), trusting(0))).toMatchObject({ witnessed: 2 });
    await made.append(entryOf('halt', 'halt_2', {}));
    expect(await problem(trusting(0))).toContain('beyond 2 of 3 entries');
    expect(await verifyAsStranger(await exported('later'), trusting(1))).toMatchObject({ verdict: 'sound' });
    await keepCosignatures(made.store, 3, await made.ledger.checkpoint(), [line]);
    const pasted = await verifyAsStranger(await exported('pasted'), trusting(0));
    expect(pasted).toMatchObject({ code: 1, problem: expect.stringContaining('beyond 2 of 3 entries') });
  });

  it('can’t set the store back to an older snapshot', async () => {
    const snapshot = await exported();
    await made.append(entryOf('halt', 'halt_1', {}));
    const later = kept(await made.ledger.checkpoint());
    expect(await verifyAsStranger(snapshot, made.trust)).toMatchObject({ verdict: 'sound' });
    expect(await verifyAsStranger(snapshot, made.trust, '--kept', later)).toMatchObject({
      code: 1,
      problem: expect.stringContaining('it was set back'),
    });
  });

  it('can’t pass off an entry as another, nor leave one out of what it signed', async () => {
    const { id, plan, approval } = planned('one');
    await made.append(plan);
    await made.append(approval('ada', made.person('ada')));
    const lines = (await proveAction({ ...made, key: key() }, id)).trimEnd().split('\n');
    const [header, envelope, checkpoint, first = '', second = ''] = lines;
    const of = (line: string) => JSON.parse(line) as { entry: string; index: number; inclusion: string[] };
    const shown = async (entry: unknown) => {
      const file = join(made.directory, 'confused.jsonl');
      writeFileSync(file, `${[header, envelope, checkpoint, JSON.stringify(entry)].join('\n')}\n`);
      return (await verifyAsStranger(file, made.trust)).problem;
    };
    const { inclusion } = of(second);
    expect(await shown({ ...of(first), inclusion })).toContain('is not entry');
    expect(await shown({ ...of(first), inclusion: of(first).inclusion.slice(1) })).toContain('is not entry');
    expect(await shown({ ...of(first), index: 2 })).toContain('is not entry 2');
    expect(await shown(of(first))).toContain('its statement is not what the entries say');
  });

  it('can’t change an export, whichever entry of it', async () => {
    const { plan, approval, apply } = planned('one');
    await made.append(plan, approval('ada', made.person('ada')), apply);
    const file = await exported();
    const text = readFileSync(file, 'utf8');
    for (const [from, to] of [
      ['migrator', 'Migrator'],
      [text.split('\n')[4] ?? '', ''],
      ['"size":4', '"size":3'],
    ] as const) {
      writeFileSync(file, text.replace(`${from}${to === '' ? '\n' : ''}`, to));
      expect(await verifyAsStranger(file, made.trust), from).toMatchObject({ code: 1, verdict: 'unsound' });
    }
  });
});

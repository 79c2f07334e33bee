import { createWriteStream } from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Attested, attestApproval, openEnvelope } from '../../src/approval/envelope.ts';
import type { PersonKey } from '../../src/approval/person-key.ts';
import type { ApprovalEnvelope } from '../../src/domain/approval.ts';
import type { Json } from '../../src/domain/digest.ts';
import type { Entry } from '../../src/domain/entry.ts';
import { asId, instantOf } from '../../src/domain/ids.ts';
import { exportLedger } from '../../src/ledger/archive.ts';
import { openLedger } from '../../src/ledger/ledger.ts';
import { rotateKey } from '../../src/ledger/rotate-key.ts';
import { createSigningKey, loadSigningKey } from '../../src/ledger/signing-key.ts';
import { verifyLedger } from '../../src/ledger/verify.ts';
import { planned, type WrittenHistory, writtenHistory } from '../fixtures/history.ts';
import { hasPython, verifyAsStranger } from '../fixtures/verifier.ts';

/** What a stranger makes of clicks: they are told apart from signatures, and refused where the trust policy has none. */
describe.skipIf(!hasPython)('G7 a click in the ledger', () => {
  let made: WrittenHistory;
  beforeEach(async () => {
    made = await writtenHistory();
  });
  afterEach(() => made.remove());

  const gateway = () => loadSigningKey(join(made.directory, 'ledger.key'), made.ledger.origin);
  const clock = { now: () => Date.parse('2026-02-01T00:00:00Z') };
  const CLICK = {
    team: 'T012AB3CD',
    user: 'UADA',
    conversation: 'C1',
    message: '1767265200.000100',
    at: instantOf(Date.parse('2026-01-01T11:00:00Z')),
    callback: asId<Attested['identity']>(`sha256:${'2'.repeat(64)}`),
  };

  function clicked(of: ReturnType<typeof planned>, by: PersonKey = gateway(), change: Partial<Attested> = {}): Entry {
    const entry = of.approval('ada', made.person('ada'));
    const { envelope, ...said } = entry.body as unknown as { envelope: ApprovalEnvelope };
    const opened = openEnvelope(envelope);
    if (!opened.opened) throw new Error(opened.why);
    const type = 'https://countersign.dev/attested-approval/v1';
    const attested = attestApproval({ ...opened.statement, type, via: 'slack', click: CLICK, ...change }, by);
    return { ...entry, body: { ...said, via: 'slack', envelope: attested } as unknown as Json };
  }

  function trusting(clicks: string, user = 'UADA', team = 'T012AB3CD') {
    return made.trusting((policy) => {
      const { production } = policy['environments'] as { production: Record<string, Json> };
      const people = { ada: { keys: [], approves: ['production'], slack: user } };
      return { ...policy, people, slack: { team }, environments: { production: { ...production, clicks } } };
    });
  }

  async function judged(trust: string, ledger = made.ledger) {
    const file = join(made.directory, `all-${Math.random()}.jsonl`);
    await pipeline(exportLedger(made.store, ledger), createWriteStream(file));
    return verifyAsStranger(file, trust);
  }

  it('counts where the policy lets clicks count, and is called what it is', async () => {
    const one = planned('one');
    await made.append(one.plan, clicked(one), one.apply, one.intent(), one.outcome());
    const said = 'a click in Slack (user UADA of T012AB3CD), attested by the gateway, not signed by ada';
    expect(await judged(trusting('reversible'))).toMatchObject({
      verdict: 'sound',
      approvals: 1,
      attested: [`entry 2: the approval of ada is ${said}`],
    });
    expect(await verifyLedger(made.path)).toMatchObject({ verdict: 'sound' });
    expect(await judged(trusting('never'))).toMatchObject({
      verdict: 'unsound',
      problem: expect.stringContaining(`${said}, which does not count in production: it takes a signature`),
    });
    expect((await judged(trusting('any', 'UGRACE'))).problem).toContain('does not name this Slack user as ada');
    expect((await judged(trusting('any', 'UADA', 'T9'))).problem).toContain('does not name this Slack user as ada');
    expect((await judged(made.trust)).problem).toContain('does not name this Slack user as ada');
  });

  it('stays what it was when the ledger is handed to another key, which attests what comes after', async () => {
    const [one, two] = [planned('one'), planned('two')];
    const before = gateway();
    const file = join(made.directory, 'two.key');
    createSigningKey(file);
    const after = loadSigningKey(file, made.ledger.origin);
    await made.append(one.plan, clicked(one, before), two.plan);
    await rotateKey({ store: made.store, before, after, clock });
    const last = await openLedger({ store: made.store, key: after, clock });
    await last.record({ entries: [clicked(two, after)] });
    expect(await verifyLedger(made.path)).toMatchObject({ verdict: 'sound' });
    expect(await judged(trusting('any'), last)).toMatchObject({ verdict: 'sound', approvals: 2 });

    const late = planned('late');
    await last.record({ entries: [late.plan, clicked(late, before)] });
    expect(await verifyLedger(made.path)).toMatchObject({ verdict: 'tampered', entry: 7 });
    expect((await judged(trusting('any'), last)).problem).toContain('no valid attestation');
    await last.close();
  });

  it('counts for what can’t be undone only where every plan may be clicked on', async () => {
    const one = planned('one', { undo: { undo: 'irreversible', why: 'a test' } });
    await made.append(one.plan, clicked(one));
    expect((await judged(trusting('reversible'))).problem).toContain("it can't be undone");
    expect((await judged(trusting('any'))).verdict).toBe('sound');
  });

  it.each<[string, (one: ReturnType<typeof planned>) => Entry, string, string]>([
    ['attested by somebody else', (one) => clicked(one, made.person('ada')), 'no valid attestation', 'no gateway'],
    [
      'called a signature',
      (one) => {
        const { via: _via, ...body } = clicked(one).body as Record<string, Json>;
        return { ...clicked(one), body };
      },
      'only clicked',
      'nobody attested',
    ],
    [
      'made of a signature',
      (one) => {
        const signed = one.approval('ada', made.person('ada'));
        return { ...signed, body: { ...(signed.body as Record<string, Json>), via: 'slack' } };
      },
      'only clicked',
      'nobody attested',
    ],
    [
      'of another person',
      (one) => clicked(one, gateway(), { person: asId('grace') }),
      'something else than what was signed',
      'something else than what was attested',
    ],
  ])('%s is found out, by a stranger and by the ledger itself', async (_, forged, stranger, own) => {
    const one = planned('one');
    await made.append(one.plan, forged(one));
    expect((await judged(trusting('any'))).problem).toContain(stranger);
    expect(await verifyLedger(made.path)).toMatchObject({
      verdict: 'tampered',
      entry: 2,
      problem: expect.stringContaining(own),
    });
  });
});

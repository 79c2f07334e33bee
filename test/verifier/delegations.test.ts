import { createWriteStream, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { delegationId, signDelegation, signDelegationEnd } from '../../src/approval/delegation.ts';
import type { DelegationStatement } from '../../src/domain/delegation.ts';
import type { Json } from '../../src/domain/digest.ts';
import type { Entry } from '../../src/domain/entry.ts';
import { asId, type Instant } from '../../src/domain/ids.ts';
import { proveAction } from '../../src/ledger/action-proof.ts';
import { exportLedger } from '../../src/ledger/archive.ts';
import { loadSigningKey } from '../../src/ledger/signing-key.ts';
import { verifyLedger } from '../../src/ledger/verify.ts';
import { entryOf, planned, type WrittenHistory, writtenHistory } from '../fixtures/history.ts';
import { hasPython, verifyAsStranger } from '../fixtures/verifier.ts';

const [AT, UNTIL] = [asId<Instant>('2026-01-01T09:00:00.000Z'), asId<Instant>('2026-01-08T09:00:00.000Z')];

/** Grace may countersign in production, edsger and barbara elsewhere only. */
describe.skipIf(!hasPython)('G7 an operator who claims a delegation', () => {
  let made: WrittenHistory;
  beforeEach(async () => {
    made = await writtenHistory();
  });
  afterEach(() => made.remove());

  const trust = (change: { readonly [key: string]: Json } = {}) =>
    made.trusting((policy) => {
      const publicKey = (name: string) => `ed25519:${Buffer.from(made.person(name).publicKey).toString('base64')}`;
      const elsewhere = (name: string) => ({ keys: [publicKey(name)], approves: ['staging'] });
      const people = { ...(policy['people'] as object), edsger: elsewhere('edsger'), barbara: elsewhere('barbara') };
      return { ...policy, people, delegationDays: 14, ...change };
    });
  function given(change: Partial<DelegationStatement> = {}, key = 'grace') {
    const statement: DelegationStatement = {
      type: 'https://countersign.dev/delegation/v1',
      person: asId('grace'),
      to: asId('edsger'),
      environment: asId('production'),
      reason: 'on holiday',
      at: AT,
      until: UNTIL,
      ...change,
    };
    const envelope = signDelegation(statement, made.person(key));
    const id = delegationId(envelope);
    const { person, to } = statement;
    const body = { event: 'delegated', delegation: id, person, to, envelope: envelope as unknown as Json };
    return { id, entry: entryOf('delegation', id, body) };
  }
  function ended(id: string): Entry {
    const statement = { delegation: id, person: asId<never>('grace'), reason: 'back', at: AT } as const;
    const envelope = signDelegationEnd(
      { type: 'https://countersign.dev/delegation-end/v1', ...statement },
      made.person('grace'),
    );
    const body = { event: 'ended', delegation: id, person: 'grace', envelope: envelope as unknown as Json };
    return entryOf('delegation', id, body);
  }
  const of = planned('one');
  function approved(person: string, delegation?: string): Entry {
    const entry = of.approval(person, made.person(person), delegation === undefined ? {} : { delegation });
    return delegation === undefined ? entry : { ...entry, body: { ...(entry.body as object), delegation } };
  }

  async function judged(policy = trust()): Promise<string> {
    const file = join(made.directory, `all-${Math.random()}.jsonl`);
    await pipeline(exportLedger(made.store, made.ledger), createWriteStream(file));
    return (await verifyAsStranger(file, policy)).problem ?? 'sound';
  }

  it('is believed with the signature of who is away, and says in whose place it was signed', async () => {
    const { id, entry } = given();
    await made.append(entry, of.plan, approved('edsger', id), of.apply, of.intent(), of.outcome());
    expect(await judged()).toBe('sound');
    expect(await verifyLedger(made.path)).toMatchObject({
      verdict: 'sound',
      delegated: [{ plan: of.id, by: 'edsger', inPlaceOf: 'grace', delegation: id }],
    });
    expect(await judged(trust({ delegationDays: 0 }))).toContain('longer than the trust policy allows');
    const key = loadSigningKey(join(made.directory, 'ledger.key'), made.ledger.origin);
    const proof = join(made.directory, 'one.proof.jsonl');
    writeFileSync(proof, await proveAction({ store: made.store, ledger: made.ledger, key }, of.id));
    expect(await verifyAsStranger(proof, trust())).toMatchObject({ code: 0, delegated: 1, applied: 1 });
  });

  it('can’t count who is away and who stands in as two, nor two who stand in for one', async () => {
    const two = { environments: { production: { quorum: 2 } } };
    const [one, other] = [given(), given({ to: asId('barbara') })];
    await made.append(one.entry, other.entry, of.plan, approved('edsger', one.id), approved('barbara', other.id));
    await made.append(approved('grace'), of.apply);
    expect(await judged(trust(two))).toContain('1 of 2 people');
  });

  it('can’t use one that has ended, before the approval or before the apply', async () => {
    const { id, entry } = given();
    await made.append(entry, of.plan, approved('edsger', id), ended(id), of.apply);
    expect(await judged()).toContain('0 of 1 people');
    const late = planned('two');
    await made.append(late.plan, late.approval('edsger', made.person('edsger'), { delegation: id }));
    expect(await verifyLedger(made.path)).toMatchObject({
      verdict: 'tampered',
      problem: expect.stringContaining('did not stand'),
    });
  });

  it.each<[string, () => readonly Entry[], string]>([
    ['by another’s key', () => [given({}, 'mallory').entry], 'no valid signature of grace'],
    ['of who may not decide there', () => [given({ person: asId('barbara') }, 'barbara').entry], 'may not countersign'],
    [
      'that was handed on',
      () => [given().entry, given({ person: asId('edsger'), to: asId('barbara') }, 'edsger').entry],
      'may not countersign',
    ],
    ['for longer than is trusted', () => [given({ until: asId('2026-01-16T09:00:00.000Z') }).entry], 'longer'],
    ['to somebody else', () => [given().entry, of.plan, approved('barbara', given().id)], 'given to another'],
    [
      'for elsewhere',
      () => {
        const { id, entry } = given({ person: asId('barbara'), environment: asId('staging') }, 'barbara');
        return [entry, of.plan, approved('edsger', id)];
      },
      'for elsewhere',
    ],
    ['that was never given', () => [of.plan, approved('edsger', given().id)], 'does not stand'],
    [
      'for what who is away asked for',
      () => {
        const own = planned('own', { onBehalfOf: 'grace' });
        const { id, entry } = given();
        return [entry, own.plan, own.approval('edsger', made.person('edsger'), { delegation: id })];
      },
      'in the place of grace, who asked for it',
    ],
  ])('can’t use one %s', async (_, entries, said) => {
    await made.append(...entries());
    expect(await judged()).toContain(said);
  });
});

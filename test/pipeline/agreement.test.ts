import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { digestOf } from '../../src/domain/digest.ts';
import type { Digest } from '../../src/domain/ids.ts';
import type { Refusal } from '../../src/domain/refusal.ts';
import { type Agreement, createAgreement } from '../../src/pipeline/agreement.ts';
import { createProof } from '../../src/pipeline/proof.ts';
import { type TestLedger, testLedger } from '../fixtures/ledger.ts';
import { dialects, type StatePlace } from '../fixtures/state.ts';

const LOG = { info: () => undefined, warn: () => undefined, error: () => undefined };

describe.each(dialects)('which policies are in force, on $name', (dialect) => {
  let place: StatePlace;
  let made: TestLedger;
  beforeAll(async () => {
    place = await dialect.start();
  });
  afterAll(async () => {
    await made?.remove();
    await place?.remove();
  });
  beforeEach(async () => {
    await made?.remove();
    made = await testLedger(await place.make());
  });

  function node(name: string, policies: string, followWithinMs = 0) {
    let standing: Refusal | undefined;
    let digest: Digest = digestOf(policies);
    const proof = createProof({ ledger: made.ledger, clock: { now: () => 0 }, node: name, log: LOG });
    const agreement: Agreement = createAgreement({
      store: made.store,
      proof,
      digest: () => digest,
      followWithinMs,
      onStanding(outdated) {
        standing = outdated;
        return Promise.resolve();
      },
    });
    return {
      ...agreement,
      reload(changed: string) {
        digest = digestOf(changed);
        return agreement.adopt();
      },
      serves: async () => {
        await agreement.check();
        return standing === undefined;
      },
    };
  }
  const epochs = async () =>
    (await made.ledger.entries({ kind: 'policy', limit: 100 })).map(({ entry: { body } }) => body);

  it('those of the first node, and of whoever starts with the same', async () => {
    const nodes = ['a', 'b', 'c'].map((name) => node(name, 'v1'));
    await Promise.all(nodes.map((each) => each.adopt()));
    expect(await Promise.all(nodes.map((each) => each.serves()))).toEqual([true, true, true]);
    expect(await epochs()).toMatchObject([{ epoch: 1, digest: digestOf('v1'), before: null }]);
  });

  it('new ones from the moment they are started or reloaded; who has others serves nothing', async () => {
    const [a, b] = [node('a', 'v1'), node('b', 'v1')];
    await a.adopt();
    await b.adopt();
    await b.reload('v2');
    expect([await a.serves(), await b.serves()]).toEqual([false, true]);
    await a.reload('v2');
    expect([await a.serves(), await b.serves()]).toEqual([true, true]);
    expect(await epochs()).toMatchObject([{ epoch: 1 }, { epoch: 2, before: digestOf('v1'), by: 'b' }]);
  });

  it('old ones again when a person takes them into force', async () => {
    const [old, current] = [node('old', 'v1'), node('current', 'v2')];
    await old.adopt();
    await current.adopt();
    await old.adopt();
    // On one machine all read the same file: there a start is that person's word.
    const startIsAWord = made.store.leaseMs === null;
    expect([await old.serves(), await current.serves()]).toEqual([startIsAWord, !startIsAWord]);
    expect(await old.accept('ada')).toMatchObject({ epoch: 3, digest: digestOf('v1') });
    expect([await old.serves(), await current.serves()]).toEqual([true, false]);
  });

  it('new ones that others have begun are waited for, for a while, where all read the same files', async () => {
    const [quick, slow] = [node('quick', 'v1'), node('slow', 'v1', 150)];
    await quick.adopt();
    await slow.adopt();
    await quick.reload('v2');
    expect(await slow.serves()).toBe(true);
    await slow.reload('v2');
    await quick.reload('v3');
    expect(await slow.serves()).toBe(true);
    await sleep(160);
    expect(await slow.serves()).toBe(false);
  });

  it('one of them when several new ones start at once', async () => {
    const nodes = ['v1', 'v2', 'v3', 'v4'].map((policies) => node(policies, policies));
    await Promise.all(nodes.map((each) => each.adopt()));
    const serving = await Promise.all(nodes.map((each) => each.serves()));
    expect(serving.filter(Boolean)).toHaveLength(1);
    expect(await epochs()).toHaveLength(4);
  });
});

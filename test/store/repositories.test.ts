import { spawnSync } from 'node:child_process';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ApprovalStatement } from '../../src/domain/approval.ts';
import { digestOf } from '../../src/domain/digest.ts';
import { type HaltScope, haltCovers } from '../../src/domain/halt.ts';
import {
  type ActorId,
  asId,
  type EnvironmentId,
  type HaltId,
  type IntentId,
  instantOf,
  type PlanId,
  type TargetId,
  type TaskId,
} from '../../src/domain/ids.ts';
import { isLive, PLAN_STATES, PLAN_TRANSITIONS, type Plan, type PlanState } from '../../src/domain/plan.ts';
import { makeScramVerifier } from '../../src/domain/scram.ts';
import type { StateLocation } from '../../src/domain/state-location.ts';
import type { Task } from '../../src/domain/task.ts';
import { approvalsOf, insertApproval } from '../../src/store/approvals.ts';
import {
  baselineOf,
  driftStates,
  dropMoves,
  movesOn,
  putBaseline,
  putDriftState,
  putMoves,
  touchDriftState,
} from '../../src/store/drift.ts';
import { activeHalts, insertHalt, liftHalt } from '../../src/store/halts.ts';
import { closeIntent, openIntent, openIntents } from '../../src/store/intents.ts';
import { machineName } from '../../src/store/machine.ts';
import {
  announceNode,
  deadAfterMs,
  forgetSilentNodes,
  type GatewayNode,
  liveNodes,
  removeNode,
} from '../../src/store/nodes.ts';
import { openStore } from '../../src/store/open-store.ts';
import {
  allPasskeys,
  confirmPasskey,
  countPasskey,
  forgetChallenges,
  insertPasskey,
  passkeysOf,
  removePasskey,
  spendChallenge,
} from '../../src/store/passkeys.ts';
import {
  endPersonSession,
  forgetPersonSessions,
  insertPersonSession,
  openPersonSessions,
  personSessionByHash,
  stepUpPersonSession,
  touchPersonSession,
} from '../../src/store/person-sessions.ts';
import {
  allPersonTokens,
  forgetPersonTokens,
  insertPersonToken,
  personTokenByHash,
  removePersonToken,
} from '../../src/store/person-tokens.ts';
import {
  eraseValues,
  getPlan,
  insertPlan,
  layAside,
  listPlans,
  livePlan,
  noneApproved,
  plansByPrefix,
  plansInState,
  stillApplying,
  transition,
} from '../../src/store/plans.ts';
import { provenBackups, putProvenBackup, removeProvenBackup } from '../../src/store/proven-backups.ts';
import { statements } from '../../src/store/schema.ts';
import { forgetSignInCodes, insertSignInCode, redeemSignInCode, signInCode } from '../../src/store/sign-in-codes.ts';
import type { Store } from '../../src/store/store.ts';
import {
  closeTask,
  insertTask,
  listTasks,
  releaseRows,
  reserveRows,
  taskById,
  taskByTokenHash,
} from '../../src/store/tasks.ts';
import { endTurn, keepTurn, noTurn, type Turn, takeTurn, turns } from '../../src/store/turns.ts';
import { write } from '../../src/store/write.ts';
import { dialects, type StatePlace } from '../fixtures/state.ts';

describe.each(dialects)('on $name', (dialect) => {
  let place: StatePlace;
  let location: StateLocation;
  let store: Store;
  beforeAll(async () => {
    place = await dialect.start();
    location = await place.make();
    store = await openStore(location);
  });
  afterAll(async () => {
    await store?.close();
    await place?.remove();
  });

  const ada = asId<ActorId>('ada');
  const rental = asId<TargetId>('rental');
  let made = 0;

  async function newTask(rowsPerTask = 100, expiresAtMs = 1000): Promise<{ task: Task; tokenHash: string }> {
    const id = asId<TaskId>(`t-${++made}`);
    const task: Task = {
      id,
      purpose: 'clean “up”',
      agent: asId<ActorId>('cleaner'),
      onBehalfOf: ada,
      openedBy: ada,
      openedAt: instantOf(0),
      expiresAt: instantOf(expiresAtMs),
      radius: [{ target: rental, read: ['public.*'], write: [] }],
      limits: { rowsPerStatement: 10, rowsPerTask, statementTimeoutMs: 1000 },
    };
    const tokenHash = `hash-${made}`;
    expect(await store.commit([insertTask({ task, tokenHash, verifier: makeScramVerifier('secret') })])).toBeNull();
    return { task, tokenHash };
  }

  async function newPlan(task: TaskId, wishOf = 'wish', atMs = made): Promise<{ id: PlanId; plan: Plan }> {
    const plan: Plan = {
      version: 1,
      task,
      actor: asId<ActorId>('cleaner'),
      onBehalfOf: ada,
      purpose: 'p',
      channel: 'mcp',
      target: rental,
      environment: asId<EnvironmentId>('production'),
      tier: 'production',
      identity: { engine: 'postgres', host: 'db', port: 1, database: 'd', databaseOid: 1, systemIdentifier: '1' },
      statements: [{ text: 'DELETE FROM a', parameters: [] }],
      settings: [],
      effects: [],
      measurement: { measured: false, why: 'test' },
      baseState: digestOf('base'),
      undo: { undo: 'irreversible', why: 'test' },
      held: { policies: [], missing: [] },
      policyDigest: digestOf('policy'),
      createdAt: instantOf(0),
      expiresAt: instantOf(1000),
      nonce: String(++made),
    };
    const id = digestOf(plan as never) as PlanId;
    expect(
      await store.commit([insertPlan({ id, plan, wish: digestOf(wishOf), state: 'held', at: instantOf(atMs) })]),
    ).toBeNull();
    return { id, plan };
  }

  const change = { note: 'why', at: instantOf(5) };

  it('keeps a passkey with what vouches for it and how far it has counted, and a token until it is taken back', async () => {
    const at = instantOf(Date.parse('2026-01-01T00:00:00Z'));
    const passkey = {
      id: 'passkey_1',
      person: 'ada',
      credential: 'one',
      statement: '{}',
      envelope: null,
      counter: 0,
      registered_at: at,
    };
    expect(await store.commit([insertPasskey(passkey)])).toBeNull();
    expect(await store.commit([insertPasskey({ ...passkey, id: 'passkey_2', person: 'grace' })])).toBe(0);
    expect(await store.commit([countPasskey(passkey.id, 0), countPasskey(passkey.id, 7)])).toBeNull();
    for (const counted of [0, 6, 7]) expect(await store.commit([countPasskey(passkey.id, counted)])).toBe(0);
    await store.commit([confirmPasskey(passkey.id, '{"signed":true}')]);
    const kept = [{ ...passkey, counter: 7, envelope: '{"signed":true}' }];
    expect(await passkeysOf(store, ada)).toEqual(kept);
    expect(await allPasskeys(store)).toEqual(kept);
    expect(await store.commit([removePasskey(passkey.id)])).toBeNull();
    expect(await store.commit([removePasskey(passkey.id)])).toBe(0);
    expect(await store.commit([spendChallenge('one', at)])).toBeNull();
    expect(await store.commit([spendChallenge('one', at)])).toBe(0);
    await store.commit([forgetChallenges(instantOf(Date.parse(at) + 1))]);
    expect(await store.commit([spendChallenge('one', at)])).toBeNull();
    const token = { id: 'token_1', token_hash: 'sha256:1', envelope: { signed: true }, expires_at: at };
    expect(await store.commit([insertPersonToken(token)])).toBeNull();
    const found = { ...token, envelope: '{"signed":true}' };
    expect(await personTokenByHash(store, 'sha256:1')).toEqual(found);
    expect(await allPersonTokens(store)).toEqual([found]);
    expect(await store.commit([removePersonToken(token.id)])).toBeNull();
    expect(await store.commit([removePersonToken(token.id)])).toBe(0);
    await store.commit([insertPersonToken(token), forgetPersonTokens(instantOf(Date.parse(at) + 1))]);
    expect(await personTokenByHash(store, 'sha256:1')).toBeUndefined();
  });

  it('keeps a session by the digest of its token, and redeems a code once', async () => {
    const at = (second: number) => instantOf(Date.parse('2026-01-01T00:00:00Z') + second * 1000);
    const row = {
      id: 'session_1',
      token_hash: 'sha256:1',
      person: 'ada',
      via: 'key',
      credential: 'sha256:2',
      roles: null,
      opened_at: at(0),
      seen_at: at(0),
      stepped_up_at: at(0),
      ends_at: at(60),
      ended_at: null,
      seal: 'sealed',
    };
    const expires = at(60);
    await store.commit([insertSignInCode({ tokenHash: 'sha256:3', envelope: { signed: true }, expires })]);
    expect(await signInCode(store, 'sha256:3')).toEqual({ signed: true });
    expect(await store.commit([redeemSignInCode('sha256:3'), insertPersonSession(row)])).toBeNull();
    expect(await store.commit([redeemSignInCode('sha256:3'), insertPersonSession({ ...row, id: 'session_2' })])).toBe(
      0,
    );
    await store.commit([touchPersonSession(row.id, at(5)), stepUpPersonSession(row.id, ada, at(6))]);
    const seen = { ...row, seen_at: at(5), stepped_up_at: at(6) };
    expect(await personSessionByHash(store, 'sha256:1')).toEqual(seen);
    expect(await openPersonSessions(store, at(59))).toEqual([seen]);
    expect(await openPersonSessions(store, at(60))).toEqual([]);
    expect(await store.commit([endPersonSession(row.id, at(7))])).toBeNull();
    expect(await store.commit([endPersonSession(row.id, at(8))])).toBe(0);
    expect(await personSessionByHash(store, 'sha256:1')).toBeUndefined();
    await store.commit([forgetPersonSessions(at(61)), forgetSignInCodes(at(61))]);
  });

  describe('tasks', () => {
    it('keep the newest backup that was proven, however late an older one is', async () => {
      const target = asId<TargetId>('proven');
      const proven = (backup: string, atMs: number, drilledMs: number) =>
        putProvenBackup(target, { backup, at: instantOf(atMs), drilledAt: instantOf(drilledMs), recoveryMs: 1 });
      const kept = async () => (await provenBackups(store)).get(target);
      await store.commit([proven('new', 2000, 3000)]);
      expect(await store.commit([proven('old', 1000, 9000)])).toBeNull();
      expect(await kept()).toMatchObject({ backup: 'new', drilledAt: instantOf(3000) });
      await store.commit([proven('new', 2000, 9000)]);
      expect(await kept()).toMatchObject({ backup: 'new', drilledAt: instantOf(9000) });
      expect(await store.commit([removeProvenBackup(target, 'old')])).toBeNull();
      expect(await kept()).toBeDefined();
      await store.commit([removeProvenBackup(target, 'new')]);
      expect(await kept()).toBeUndefined();
    });

    it('come back as they were opened, by id and by token', async () => {
      const { task, tokenHash } = await newTask();
      const found = await taskById(store, task.id);
      expect(found).toMatchObject({ task, rowsUsed: 0, closedAt: null });
      expect(await taskByTokenHash(store, tokenHash)).toEqual(found);
      const { salt, storedKey } = found?.verifier ?? {};
      const again = makeScramVerifier('secret', salt);
      expect(Buffer.from(storedKey ?? [])).toEqual(Buffer.from(again.storedKey));
      expect(await taskById(store, 'nobody')).toBeUndefined();
      expect(await taskByTokenHash(store, task.id)).toBeUndefined();
    });

    it('are listed with those that last longest first', async () => {
      const first = await newTask(1, 9_000_000);
      const second = await newTask(1, 9_500_000);
      expect((await listTasks(store, 2)).map(({ task }) => task.id)).toEqual([second.task.id, first.task.id]);
    });

    it('are closed once', async () => {
      const { task } = await newTask();
      expect(await store.commit([closeTask(task.id, instantOf(1))])).toBeNull();
      expect(await store.commit([closeTask(task.id, instantOf(2))])).toBe(0);
      expect((await taskById(store, task.id))?.closedAt).toBe(instantOf(1));
    });

    it('never give out more rows than they may change, whoever asks at once', async () => {
      const { task } = await newTask(100);
      const answers = await Promise.all(Array.from({ length: 30 }, () => store.commit([reserveRows(task.id, 7)])));
      expect(answers.filter((answer) => answer === null)).toHaveLength(14);
      expect((await taskById(store, task.id))?.rowsUsed).toBe(98);
      expect(await store.commit([reserveRows(task.id, 2)])).toBeNull();
      expect(await store.commit([reserveRows(task.id, 1)])).toBe(0);
      expect(await store.commit([reserveRows(task.id, 0)])).toBeNull();
      expect(await store.commit([reserveRows(asId<TaskId>('nobody'), 0)])).toBe(0);
    });

    it('count what is used as the sum of what was reserved and not released', async () => {
      await fc.assert(
        fc.asyncProperty(
          fc.array(fc.record({ reserve: fc.boolean(), rows: fc.nat({ max: 60 }) }), { maxLength: 12 }),
          async (steps) => {
            const { task } = await newTask(100);
            let used = 0;
            for (const { reserve, rows } of steps) {
              const done = (await store.commit([(reserve ? reserveRows : releaseRows)(task.id, rows)])) === null;
              expect(done).toBe(!reserve || used + rows <= 100);
              if (done) used = reserve ? used + rows : Math.max(0, used - rows);
            }
            expect((await taskById(store, task.id))?.rowsUsed).toBe(used);
          },
        ),
        { numRuns: 15 },
      );
    });

    it('are not one row richer by a number that is none', async () => {
      const { task } = await newTask(100);
      for (const rows of [Number.NaN, Number.POSITIVE_INFINITY])
        expect(await store.commit([reserveRows(task.id, rows)])).toBe(0);
      expect((await taskById(store, task.id))?.rowsUsed).toBe(0);
    });
  });

  describe('plans', () => {
    const pairs = PLAN_STATES.flatMap((from) => PLAN_STATES.map((to) => [from, to] as const));
    const put = (id: PlanId, state: PlanState) =>
      store.commit([write(statements.updateTable('plans').set({ state }).where('id', '=', id), 1)]);

    it('lose every value when they are erased, also those by which they would be taken back', async () => {
      const { task } = await newTask();
      const { id, plan } = await newPlan(task.id);
      const effect = {
        tables: [],
        objects: [],
        locks: [],
        samples: [{ table: 'a', before: { name: 'a secret' }, after: null }],
        durationMs: 1,
        walBytes: 1,
        volatileColumns: {},
        inverse: { statements: ["ALTER TABLE a ALTER x SET DEFAULT 'a secret'"], leaves: digestOf('left') },
        digest: digestOf('effect'),
      };
      const full: Plan = {
        ...plan,
        statements: [{ text: 'DELETE FROM a WHERE name = $1', parameters: [{ type: 'text', value: 'a secret' }] }],
        measurement: { measured: true, effect },
        undo: { undo: 'statements', statements: effect.inverse.statements },
        undoes: { change: 'c', keepNewer: true, tables: [], askedBy: ada, newer: ['name = a secret'] },
        nonce: 'without which nobody can try',
      };
      expect(await store.commit([eraseValues({ id, plan: full, state: 'held', note: null })])).toBeNull();
      const erased = await getPlan(store, id);
      expect(JSON.stringify(erased)).not.toMatch(/a secret|nobody can try/);
      expect(erased?.plan).toMatchObject({ statements: [], undo: { undo: 'irreversible' }, purpose: 'p' });
      expect(await store.commit([eraseValues({ id, plan: full, state: 'applied', note: null })])).toBe(0);
    });

    it.each(pairs)('go from %s to %s as the table says', async (from, to) => {
      if (!PLAN_TRANSITIONS[from].includes(to)) {
        expect(() => transition(asId<PlanId>('p'), from, to, change)).toThrow(/can't go/);
        return;
      }
      const { task } = await newTask();
      const { id, plan } = await newPlan(task.id);
      await put(id, from);
      expect(await store.commit([transition(id, from, to, change)])).toBeNull();
      expect(await getPlan(store, id)).toEqual({ id, plan, state: to, note: 'why' });
    });

    it('stay where they are when they stand elsewhere than believed', async () => {
      const { task } = await newTask();
      const { id } = await newPlan(task.id);
      for (const from of PLAN_STATES) {
        const [to] = PLAN_TRANSITIONS[from];
        if (from === 'held' || to === undefined) continue;
        expect(await store.commit([transition(id, from, to, change)]), from).toBe(0);
      }
      expect(await getPlan(store, id)).toMatchObject({ state: 'held', note: null });
    });

    it('have an end: every state leads to one that leads nowhere', () => {
      const endOf = (state: PlanState, seen: readonly PlanState[]): boolean =>
        PLAN_TRANSITIONS[state].length === 0 ||
        PLAN_TRANSITIONS[state].some((next) => !seen.includes(next) && endOf(next, [...seen, next]));
      for (const state of PLAN_STATES) expect(endOf(state, [state]), state).toBe(true);
      expect(Object.keys(PLAN_TRANSITIONS).sort()).toEqual([...PLAN_STATES].sort());
    });

    it('G6 are taken for applying by one, however many try', async () => {
      const { task } = await newTask();
      const { id } = await newPlan(task.id);
      await put(id, 'approved');
      const other = await openStore(location);
      try {
        const tries = Array.from({ length: 20 }, (_, n) =>
          (n % 2 === 0 ? store : other).commit([
            transition(id, 'approved', 'applying', { note: `attempt ${n}`, at: change.at }),
          ]),
        );
        expect((await Promise.all(tries)).filter((answer) => answer === null)).toHaveLength(1);
      } finally {
        await other.close();
      }
    });

    it('G6 are still applying for the attempt that is noted, and for no other', async () => {
      const { task } = await newTask();
      const { id } = await newPlan(task.id);
      await put(id, 'approved');
      expect(await store.commit([stillApplying(id, 'mine', change.at)])).toBe(0);
      await store.commit([transition(id, 'approved', 'applying', { note: 'mine', at: change.at })]);
      expect(await store.commit([stillApplying(id, 'mine', change.at)])).toBeNull();
      expect(await store.commit([stillApplying(id, 'yours', change.at)])).toBe(0);
      await store.commit([transition(id, 'applying', 'indeterminate', { note: 'mine', at: change.at })]);
      expect(await store.commit([stillApplying(id, 'mine', change.at)])).toBe(0);
    });

    it('G6 stand in the way of their wish by itself once they are approved, and are laid aside before', async () => {
      const { task } = await newTask();
      const { id } = await newPlan(task.id, 'twice');
      const other = await newPlan(task.id, 'something else');
      const wish = digestOf('twice');
      const byItself = () => store.commit([noneApproved(task.id, wish, change.at), layAside(task.id, wish, change)]);
      for (const state of ['approved', 'applying'] as const) {
        await put(id, state);
        expect(await byItself()).toBe(0);
        expect(await getPlan(store, id)).toMatchObject({ state });
      }
      await put(id, 'held');
      expect(await byItself()).toBeNull();
      expect(await getPlan(store, id)).toMatchObject({ state: 'stale', note: 'why' });
      expect(await getPlan(store, other.id)).toMatchObject({ state: 'held' });
      expect(await byItself()).toBeNull();
    });

    it('are found again by the same wish in the same task while they may come to something', async () => {
      const { task } = await newTask();
      const { task: another } = await newTask();
      const old = await newPlan(task.id, 'same', 1);
      const recent = await newPlan(task.id, 'same', 2);
      await newPlan(another.id, 'same', 3);
      const wish = digestOf('same');
      const found = async () => (await livePlan(store, task.id, wish))?.id;
      expect(await found()).toBe(recent.id);
      await put(recent.id, 'approved');
      expect(await found()).toBe(recent.id);
      for (const state of PLAN_STATES.filter((each) => each !== 'held' && each !== 'approved')) {
        await put(recent.id, state);
        expect(await found(), state).toBe(old.id);
      }
      expect(await livePlan(store, task.id, digestOf('another'))).toBeUndefined();
    });

    it('are listed by task, by state, and newest first', async () => {
      const { task } = await newTask();
      const ids = [];
      for (const atMs of [1, 2, 3]) ids.unshift((await newPlan(task.id, 'w', atMs)).id);
      expect((await listPlans(store, { task: task.id, limit: 2 })).map(({ id }) => id)).toEqual(ids.slice(0, 2));
      await put(ids[1] as PlanId, 'failed');
      expect((await listPlans(store, { task: task.id, state: 'failed', limit: 9 })).map(({ id }) => id)).toEqual([
        ids[1],
      ]);
      expect((await plansInState(store, 'failed')).map(({ id }) => id)).toContain(ids[1]);
    });

    it('are found by the beginning of their id, and by nothing that only looks like one', async () => {
      const { task } = await newTask();
      const { id } = await newPlan(task.id);
      expect((await plansByPrefix(store, id.slice(0, 30))).map((found) => found.id)).toEqual([id]);
      for (const pattern of [
        '%',
        `${id.slice(0, 20)}%`,
        `_${id.slice(1, 40)}`,
        id.slice(0, 40).toUpperCase(),
        `%${id}`,
      ])
        expect(await plansByPrefix(store, pattern), pattern).toEqual([]);
      expect(await getPlan(store, '%')).toBeUndefined();
    });

    it('are live as long as they wait and their time isn’t over', async () => {
      const { task } = await newTask();
      const { id } = await newPlan(task.id);
      const record = await getPlan(store, id);
      if (record === undefined) throw new Error('no plan');
      expect(isLive(record, 999)).toBe(true);
      expect(isLive(record, 1000)).toBe(false);
      for (const state of PLAN_STATES)
        expect(isLive({ ...record, state }, 0)).toBe(state === 'held' || state === 'approved');
    });
  });

  describe('approvals', () => {
    const envelope = (payload: string) =>
      ({ payloadType: 'application/vnd.countersign.approval+json', payload, signatures: [] }) as const;

    it('are one each, and the first stands', async () => {
      const { task } = await newTask();
      const { id } = await newPlan(task.id);
      const statement = (person: string, verdict: 'approve' | 'reject', atMs: number): ApprovalStatement => ({
        type: 'https://countersign.dev/approval/v1',
        plan: id,
        environment: asId<EnvironmentId>('production'),
        identity: digestOf('identity'),
        person: asId<ActorId>(person),
        verdict,
        reason: '',
        at: instantOf(atMs),
      });
      expect(await store.commit([insertApproval(statement('bob', 'approve', 2), envelope('b'))])).toBeNull();
      expect(await store.commit([insertApproval(statement('ada', 'approve', 1), envelope('a'))])).toBeNull();
      expect(await store.commit([insertApproval(statement('bob', 'reject', 3), envelope('c'))])).toBe(0);
      const orphan = { ...statement('eve', 'approve', 4), plan: digestOf('no plan') as PlanId };
      expect(await store.commit([insertApproval(orphan, envelope('d'))])).toBe(0);
      expect((await approvalsOf(store, id)).map(({ payload }) => payload)).toEqual(['a', 'b']);
    });
  });

  describe('G11 halts', () => {
    const scopes: readonly HaltScope[] = [
      { scope: 'global' },
      { scope: 'agent', id: 'cleaner' },
      { scope: 'task', id: 't-1' },
      { scope: 'target', id: 'rental' },
    ];

    it.each(scopes)('of scope $scope come back, cover what they name, and are lifted once', async (scope) => {
      const id = asId<HaltId>(`h-${++made}`);
      const halt = { id, scope, reason: 'r', by: ada, at: instantOf(made) };
      await store.commit([insertHalt(halt)]);
      expect(await activeHalts(store)).toEqual([halt]);
      const subject = { agent: 'cleaner', task: 't-1', target: 'rental' };
      const others = { agent: 'x', task: 'x', target: 'x' };
      expect(haltCovers(halt, subject)).toBe(true);
      expect(haltCovers(halt, others)).toBe(scope.scope === 'global');
      expect(await store.commit([liftHalt(id, ada, instantOf(1))])).toBeNull();
      expect(await store.commit([liftHalt(id, ada, instantOf(2))])).toBe(0);
      expect(await activeHalts(store)).toEqual([]);
    });

    it('don’t take a name of one kind for another', () => {
      const of = (scope: HaltScope) => ({ id: asId<HaltId>('h'), scope, reason: '', by: ada, at: instantOf(0) });
      expect(haltCovers(of({ scope: 'agent', id: 'a' }), { agent: 'b', task: 'a', target: 'a' })).toBe(false);
      expect(haltCovers(of({ scope: 'task', id: 'a' }), { agent: 'a', task: 'b', target: 'a' })).toBe(false);
      expect(haltCovers(of({ scope: 'target', id: 'a' }), { agent: 'a', task: 'a', target: 'b' })).toBe(false);
    });
  });

  describe('drift', () => {
    const at = instantOf(1);
    const kept = (object: string) => {
      const definitions = { objects: new Map([[object, '{"type":"text"}']]), major: 18 };
      return { definitions, digest: digestOf(object), at };
    };

    it('keeps one baseline of a target, and none over one that somebody else has put there', async () => {
      expect(await baselineOf(store, rental)).toBeUndefined();
      expect(await store.commit([putBaseline(rental, kept('a'), null)])).toBeNull();
      expect(await store.commit([putBaseline(rental, kept('b'), null)])).toBe(0);
      expect(await store.commit([putBaseline(rental, kept('b'), digestOf('x'))])).toBe(0);
      expect(await baselineOf(store, rental)).toEqual(kept('a'));
      expect(await store.commit([putBaseline(rental, kept('b'), digestOf('a'))])).toBeNull();
      expect(await baselineOf(store, rental)).toEqual(kept('b'));
    });

    it('keeps what plans make of definitions with where they stand, in order, until it is dropped', async () => {
      const { task } = await newTask();
      const [first, second] = [await newPlan(task.id, 'first'), await newPlan(task.id, 'second')];
      const moves = [{ object: 'table a', before: null, after: '{}' }];
      await store.commit([putMoves(second.id, { target: rental, moves, at: instantOf(2) })]);
      await store.commit([putMoves(first.id, { target: rental, moves: [], at: instantOf(1) })]);
      // An attempt that was called off is made again.
      await store.commit([putMoves(first.id, { target: rental, moves, at: instantOf(1) })]);
      expect(await movesOn(store, rental)).toEqual([
        { plan: first.id, state: 'held', moves },
        { plan: second.id, state: 'held', moves },
      ]);
      expect(await store.commit(dropMoves([first.id, second.id]))).toBeNull();
      expect(await store.commit(dropMoves([first.id]))).toBe(0);
      expect(await movesOn(store, rental)).toEqual([]);
    });

    it('tells of a look once, and keeps when it was looked last', async () => {
      const state = { target: rental, checkedAt: at, since: at, objects: 1, digest: digestOf('one'), listed: [] };
      expect(await store.commit([putDriftState(state, null)])).toBeNull();
      expect(await store.commit([putDriftState(state, null)])).toBe(0);
      const over = { ...state, since: null, objects: 0, digest: digestOf('none') };
      expect(await store.commit([putDriftState(over, digestOf('one'))])).toBeNull();
      expect(await store.commit([putDriftState(over, digestOf('one'))])).toBe(0);
      await store.commit([touchDriftState({ ...over, checkedAt: instantOf(9) })]);
      expect((await driftStates(store)).get(rental)).toEqual({ ...over, checkedAt: instantOf(9) });
    });
  });

  describe('G6 intents', () => {
    it('are open until their outcome is known, which is said once', async () => {
      const { task } = await newTask();
      const id = asId<IntentId>(`i-${++made}`);
      const intent = { id, task: task.id, target: rental, node: 'n', rows: 3, at: instantOf(1) };
      await store.commit([openIntent(intent)]);
      expect(await openIntents(store)).toEqual([intent]);
      expect(await store.commit([closeIntent(id, 'applied', instantOf(2))])).toBeNull();
      expect(await store.commit([closeIntent(id, 'not applied', instantOf(3))])).toBe(0);
      expect(await openIntents(store)).toEqual([]);
    });
  });

  describe('nodes', () => {
    const node = (id: string, pid = process.pid): GatewayNode => ({
      id,
      pid,
      pg: 'p',
      http: 'h',
      startedAt: instantOf(0),
    });
    const live = async (nowMs: number) => (await liveNodes(store, nowMs)).map(({ id }) => id);

    it('live as long as they are heard of, newest first, and are gone when they leave', async () => {
      await store.commit([announceNode(node('a@elsewhere'), 1000), announceNode(node('b@elsewhere'), 2000)]);
      expect(await live(2000)).toEqual(['b@elsewhere', 'a@elsewhere']);
      expect(await live(1000 + deadAfterMs(store))).toEqual(['b@elsewhere']);
      await store.commit([announceNode({ ...node('a@elsewhere'), pg: 'moved' }, 3000)]);
      expect((await liveNodes(store, 3000))[0]).toMatchObject({ id: 'a@elsewhere', pg: 'moved' });
      await store.commit([removeNode('a@elsewhere'), removeNode('b@elsewhere')]);
      expect(await live(3000)).toEqual([]);
    });

    it('are forgotten when they never said that they leave', async () => {
      const dayMs = 24 * 3_600_000;
      const both = [announceNode(node('old@elsewhere'), 1000), announceNode(node('new@elsewhere'), 1000 + dayMs)];
      await store.commit([...both, forgetSilentNodes(1001 + dayMs)]);
      expect(await store.all(statements.selectFrom('nodes').select('id'))).toEqual([{ id: 'new@elsewhere' }]);
      await store.commit([removeNode('new@elsewhere')]);
    });

    it('on this machine are dead when their process is', async () => {
      const { pid } = spawnSync(process.execPath, ['-e', '']);
      await store.commit([announceNode(node(`dead@${machineName()}`, pid), 1000)]);
      await store.commit([
        announceNode(node(`here@${machineName()}`), 1000),
        announceNode(node('far@elsewhere', pid), 900),
      ]);
      expect(await live(1000)).toEqual([`here@${machineName()}`, 'far@elsewhere']);
    });
  });

  describe('turns', () => {
    const name = 'backup of shop';
    const seen = async () => (await turns(store)).get(name) ?? noTurn(name);
    const take = async (holder: string, nowMs: number, of?: Turn) =>
      (await store.commit([takeTurn(of ?? (await seen()), { holder, nowMs, untilMs: nowMs + 100 })])) === null;

    it('are taken by one at a time, and by another once they were not kept', async () => {
      expect([await take('a', 1000), await take('b', 1050)]).toEqual([true, false]);
      expect(await store.commit([keepTurn(name, 'a', 1200)])).toBeNull();
      expect([await take('b', 1150), await take('b', 1200)]).toEqual([false, true]);
      expect(await store.commit([keepTurn(name, 'a', 1300)])).toBe(0);
    });

    it('are not taken by who looked before somebody else had them', async () => {
      const before = await seen();
      await store.commit([endTurn(name, 'b', { failures: 0, why: null })]);
      expect(await take('a', 1400)).toBe(true);
      await store.commit([endTurn(name, 'a', { failures: 2, why: 'no route' })]);
      expect(await take('c', 1500, before)).toBe(false);
      expect(await seen()).toEqual({ name, untilMs: 0, triedMs: 1400, failures: 2, why: 'no route' });
    });

    it('tell nothing new of work that was cut off, and nobody else ends them', async () => {
      expect(await take('a', 1600)).toBe(true);
      await store.commit([endTurn(name, 'b', { failures: 9, why: 'not mine' })]);
      await store.commit([endTurn(name, 'a', null)]);
      expect(await seen()).toMatchObject({ untilMs: 0, failures: 2, why: 'no route' });
    });
  });
});

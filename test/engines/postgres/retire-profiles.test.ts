import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Profile } from '../../../src/domain/profile.ts';
import { newest } from '../../fixtures/postgres.ts';
import { openRentalTarget, type RentalTarget } from './rental-target.ts';

const PATIENT = { timeout: 15_000 };

describe.each(newest)('logins of profiles on $name', ({ binaries }) => {
  let rental: RentalTarget;
  beforeAll(async () => {
    rental = await openRentalTarget(binaries);
  }, 60_000);
  afterAll(() => rental?.remove());

  const profile = (read: readonly string[], write: readonly string[] = []): Profile => ({
    target: rental.target.id,
    read: [...read, ...write],
    write,
    columns: [],
    statementTimeoutMs: 5000,
  });
  const logins = async () =>
    (await rental.sql<{ rolname: string }>("SELECT rolname FROM pg_roles WHERE rolname ~ '^cs_' ORDER BY 1")).map(
      ({ rolname }) => rolname,
    );

  it('are dropped once two looks have found nobody who needs them', async () => {
    const { engine } = rental;
    const wanted = profile(['public.vehicles']);
    const left = await engine.provision(profile(['public.customers'], ['public.payments']));
    const used = await engine.provision(profile(['public.audit_log']));
    const kept = await engine.provision(wanted);
    const session = await engine.openSession(used.read);

    const first = await engine.retireProfiles({ keep: [wanted], suspects: new Set() });
    expect(first).toEqual({ retired: [], unused: [left.read.user, left.write?.user] });
    const second = await engine.retireProfiles({ keep: [wanted], suspects: new Set(first.unused) });
    expect(second).toEqual({ retired: first.unused, unused: [] });
    expect(await logins()).toEqual([used.read.user, kept.read.user].sort());

    await session.close();
    await expect
      .poll(async () => (await engine.retireProfiles({ keep: [wanted], suspects: new Set() })).unused, PATIENT)
      .toEqual([used.read.user]);
    // Another gateway drops it at the same moment.
    const both = await Promise.all(
      [1, 2].map(() => engine.retireProfiles({ keep: [wanted], suspects: new Set([used.read.user]) })),
    );
    expect(both.flatMap(({ retired }) => retired)).toEqual([used.read.user]);
    expect(await logins()).toEqual([kept.read.user]);
  });

  it('are made again for whoever comes back', async () => {
    const { engine } = rental;
    const again = profile(['public.customers'], ['public.payments']);
    for (let turn = 0; turn < 2; turn++) {
      const { write } = await engine.provision(again);
      if (write === undefined) throw new Error('no login that writes');
      const session = await engine.openSession(write);
      await session.own('UPDATE public.payments SET settled = settled WHERE id = 1');
      await session.close();
      let suspects: readonly string[] = [];
      await expect
        .poll(async () => {
          suspects = (await engine.retireProfiles({ keep: [], suspects: new Set(suspects) })).unused;
          return (await logins()).includes(write.user);
        }, PATIENT)
        .toBe(false);
    }
  });

  it('leave alone what is not theirs', async () => {
    await rental.sql(
      'CREATE ROLE cs_0123456789abcdef_r LOGIN; GRANT CONNECT ON DATABASE rental TO cs_0123456789abcdef_r',
    );
    const found = await rental.engine.retireProfiles({ keep: [], suspects: new Set(['cs_0123456789abcdef_r']) });
    expect(found.retired).not.toContain('cs_0123456789abcdef_r');
    expect(await logins()).toContain('cs_0123456789abcdef_r');
  });

  it('carry what bounds a session whose gateway is gone', async () => {
    const { read } = await rental.engine.provision(profile(['public.customers']));
    const [role] = await rental.sql<{ settings: string }>(
      `SELECT array_to_string(setconfig, ' ') AS settings FROM pg_db_role_setting JOIN pg_roles ON oid = setrole WHERE rolname = '${read.user}'`,
    );
    expect(role?.settings).toMatch(/client_connection_check_interval=1s/);
    expect(role?.settings).toMatch(/temp_file_limit=4GB/);
    const session = await rental.engine.openSession(read);
    const [limit] = await session.own('SHOW temp_file_limit');
    expect(limit?.rows).toEqual([['4GB']]);
    await expect(session.own("SET temp_file_limit = '-1'")).rejects.toThrow('permission denied');
    await session.close();
  });
});

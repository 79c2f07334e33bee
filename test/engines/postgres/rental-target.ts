import pg from 'pg';
import { asId, type PlanId } from '../../../src/domain/ids.ts';
import type { Target } from '../../../src/domain/target.ts';
import type {
  ApplyOutcome,
  ApplyRequest,
  Measured,
  MeasureRequest,
  TargetEngine,
} from '../../../src/engines/engine.ts';
import { identityDigest, readIdentity } from '../../../src/engines/postgres/connect.ts';
import type { ServerBinaries } from '../../../src/engines/postgres/server-binaries.ts';
import { APPLY_ROLE, planSetup, SESSION_ROLE } from '../../../src/engines/postgres/setup.ts';
import { openPostgresTarget } from '../../../src/engines/postgres/target.ts';
import { asSuperuser, rentalDatabase, startTestServer, type TestServerOptions } from '../../fixtures/postgres.ts';

const BOUNDS = { statementTimeoutMs: 10_000, lockTimeoutMs: 300, blockingToleranceMs: 100, maxRows: 100_000 };
const PASSWORDS = { session: 'session-secret', apply: 'apply-secret' };

/** The login that plans are applied by. */
export const applyCredential = { user: APPLY_ROLE, password: PASSWORDS.apply };

/** The rental database, set up and opened: plans are tried and applied on it without a gateway. */
export interface RentalTarget {
  readonly url: string;
  readonly target: Target;
  readonly engine: TargetEngine;
  sql<Row extends pg.QueryResultRow>(sql: string): Promise<Row[]>;
  measure(statements: readonly string[], tables: readonly string[], more?: Partial<MeasureRequest>): Promise<Measured>;
  apply(
    statements: readonly string[],
    tables: readonly string[],
    measured: Measured,
    more?: Partial<ApplyRequest>,
  ): Promise<ApplyOutcome>;
  /** Runs `work` while somebody else holds a lock. */
  whileLocked<Result>(lock: string, work: () => Promise<Result>): Promise<Result>;
  remove(): Promise<void>;
}

export async function openRentalTarget(
  binaries: ServerBinaries,
  options: TestServerOptions = {},
): Promise<RentalTarget> {
  // It keeps a table longer than locks are waited for here.
  const settings = { autovacuum: 'off', ...options.settings };
  const server = await startTestServer(binaries, { ...options, settings });
  const url = await rentalDatabase(server);
  for (const { sql } of await planSetup((ask) => asSuperuser(url, ask), PASSWORDS)) await asSuperuser(url, sql);
  const endpoint = { host: server.host, port: server.port, database: 'rental', tls: 'disable' as const };
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  const identity = await readIdentity(
    endpoint,
    async (sql) => (await client.query({ text: sql, rowMode: 'array' })).rows as string[][],
  );
  await client.end();
  const target: Target = {
    id: asId('rental'),
    engine: 'postgres',
    environment: asId('test'),
    owner: asId('ada'),
    endpoint,
    identity: identityDigest(identity),
  };
  const engine = await openPostgresTarget({
    target,
    credentials: {
      session: { user: SESSION_ROLE, password: PASSWORDS.session },
      apply: { user: APPLY_ROLE, password: PASSWORDS.apply },
    },
    onTrouble: () => undefined,
  });
  let plans = 0;
  const request = (statements: readonly string[], tables: readonly string[]) => ({
    statements: statements.map((text) => ({ text, parameters: [] })),
    settings: [{ name: 'search_path', value: 'public' }],
    tables,
    baseObjects: tables,
    bounds: BOUNDS,
  });
  return {
    url,
    target,
    engine,
    sql: (sql) => asSuperuser(url, sql),
    measure: (statements, tables, more) => engine.measure({ ...request(statements, tables), ...more }),
    apply: (statements, tables, measured, more) =>
      engine.apply({
        plan: planId(++plans),
        ...request(statements, tables),
        baseState: measured.baseState,
        identity: measured.identity,
        approved: measured.measurement,
        outsideTransaction: false,
        beforeCommit: async () => undefined,
        ...more,
      }),
    async whileLocked(lock, work) {
      const other = new pg.Client({ connectionString: url });
      await other.connect();
      await other.query(`BEGIN; ${lock}`);
      try {
        return await work();
      } finally {
        await other.query('ROLLBACK');
        await other.end();
      }
    },
    async remove() {
      await engine.close();
      await server.remove();
    },
  };
}

export function planId(number: number): PlanId {
  return asId<PlanId>(`sha256:${String(number).padStart(64, '0')}`);
}

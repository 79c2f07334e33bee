import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { eq, sql } from 'drizzle-orm';
import { drizzle } from 'drizzle-orm/node-postgres';
import { migrate } from 'drizzle-orm/node-postgres/migrator';
import { bigint, boolean, integer, jsonb, pgTable, text, timestamp } from 'drizzle-orm/pg-core';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type OpenedTask, type Site, startSite, WORK } from '../fixtures/gateway.ts';
import { asSuperuser, newest } from '../fixtures/postgres.ts';
import { prismaEngine } from '../fixtures/prisma-engine.ts';

const TASK = WORK.replace('clean up old test customers', 'migrate the schema').replace(
  'write: [',
  'write: [public.*, ',
);

const customers = pgTable('customers', {
  id: bigint({ mode: 'number' }).primaryKey().generatedAlwaysAsIdentity(),
  email: text().notNull(),
  fullName: text('full_name').notNull(),
  loyaltyPoints: integer('loyalty_points').notNull().default(0),
  preferences: jsonb().notNull().default({}),
  phones: text().array().notNull().default([]),
  createdAt: timestamp('created_at', { withTimezone: true }).notNull().defaultNow(),
});
const vehicles = pgTable('vehicles', { id: integer().primaryKey(), plate: text().notNull(), retired: boolean() });

describe.each(newest)('ORMs before $name', ({ binaries }) => {
  let site: Site;
  let task: OpenedTask;
  let before: string;

  beforeAll(async () => {
    site = await startSite(binaries);
    await site.serve();
    task = await site.openTask(TASK);
    before = await contents();
  }, 60_000);
  afterAll(() => site?.remove());

  /** What there is: tables with their rows. What was held must not have changed it. */
  async function contents(): Promise<string> {
    const tables = await asSuperuser<{ name: string }>(
      site.databaseUrl,
      "SELECT format('%I.%I', table_schema, table_name) AS name FROM information_schema.tables WHERE table_schema = 'public' ORDER BY 1",
    );
    const counts = tables.map(({ name }) => `SELECT '${name}' AS name, count(*)::int AS rows FROM ${name}`);
    return JSON.stringify(await asSuperuser(site.databaseUrl, counts.join(' UNION ALL ')));
  }

  async function heldPlan(run: Promise<unknown>): Promise<string> {
    const said = await run.then(
      () => 'it was not held',
      (error: unknown) => whole(error),
    );
    const [plan] = /sha256:[0-9a-f]{64}/.exec(said) ?? [];
    if (plan === undefined) throw new Error(`no plan was made: ${said}`);
    return plan;
  }
  const approve = (plan: string) => site.ask('plan', 'approve', plan, '--as', 'ada');

  describe('Drizzle', () => {
    let pool: pg.Pool;
    let db: ReturnType<typeof drizzle>;
    beforeAll(() => {
      pool = new pg.Pool({ connectionString: task.postgres, max: 2 });
      db = drizzle({ client: pool });
    });
    afterAll(() => pool.end());

    it('reads and writes within limits, with transactions and prepared statements', async () => {
      const [first] = await db.select().from(customers).where(eq(customers.id, 1));
      expect(first).toMatchObject({ id: 1, email: expect.stringContaining('@'), preferences: expect.any(Object) });
      const byPlate = db
        .select({ plate: vehicles.plate })
        .from(vehicles)
        .where(eq(vehicles.id, sql.placeholder('id')))
        .prepare('by_id');
      for (const id of [1, 2, 3]) expect(await byPlate.execute({ id })).toHaveLength(1);
      const outcome = db.transaction(async (transaction) => {
        await transaction.update(customers).set({ fullName: 'Nobody' }).where(eq(customers.id, 2));
        await transaction.transaction(async (inner) => {
          await inner.update(customers).set({ loyaltyPoints: 7 }).where(eq(customers.id, 2));
        });
        transaction.rollback();
      });
      await expect(outcome).rejects.toThrow('Rollback');
      const [changed] = await db
        .update(customers)
        .set({ preferences: { colour: 'blue' }, phones: ['1', '2'] })
        .where(eq(customers.id, 2))
        .returning();
      expect(changed).toMatchObject({
        preferences: { colour: 'blue' },
        phones: ['1', '2'],
        loyaltyPoints: expect.any(Number),
      });
      expect(changed?.fullName).not.toBe('Nobody');
    });

    it('introspects the same schema as the database’s owner would, keys and checks included', async () => {
      const [governed, direct] = [await pull(task.postgres), await pull(site.databaseUrl)];
      expect(governed).toBe(direct);
      expect(governed).toMatch(/foreignKey\(/);
      expect(governed).toMatch(/check\(/);
    });

    it('has its migration held as one plan when it is sent as one text, and goes on after approval', async () => {
      const directory = project(
        `import { integer, pgTable, text } from 'drizzle-orm/pg-core';
         export const loans = pgTable('loans', { id: integer().primaryKey().generatedAlwaysAsIdentity(), what: text().notNull() });
         export const returns = pgTable('returns', { id: integer().primaryKey(), loan: integer().notNull().references(() => loans.id) });`,
      );
      await kit(directory, 'generate');
      const [file = ''] = readdirSync(join(directory, 'migrations')).filter((name) => name.endsWith('.sql'));
      const migration = readFileSync(join(directory, 'migrations', file), 'utf8');
      const plan = await heldPlan(db.execute(sql.raw(migration)));
      expect(await contents()).toBe(before);
      expect(await site.ask('plan', 'show', plan)).toMatchObject({ plan: { statements: { length: 3 } } });
      await approve(plan);
      await db.execute(sql.raw(migration));
      await db.execute(sql`INSERT INTO loans (what) VALUES ('a roof box')`);
      expect(await asSuperuser(site.databaseUrl, 'SELECT what FROM loans')).toEqual([{ what: 'a roof box' }]);
    });

    it('has a push held at its first statement, and nothing is changed', async () => {
      const directory = project(
        `import { integer, pgTable } from 'drizzle-orm/pg-core';
         export const trips = pgTable('trips', { id: integer().primaryKey(), km: integer() });`,
      );
      const now = await contents();
      await heldPlan(kit(directory, 'push', '--force'));
      expect(await contents()).toBe(now);
    });

    it('migrates: its own table and then the migration, each held, approved and applied when it runs again', async () => {
      const directory = project(
        `import { integer, pgTable } from 'drizzle-orm/pg-core';
         export const trips = pgTable('trips', { id: integer().primaryKey(), km: integer().notNull() });
         export const stops = pgTable('stops', { trip: integer().references(() => trips.id) });`,
      );
      await kit(directory, 'generate');
      const migrating = () =>
        migrate(db, { migrationsFolder: join(directory, 'migrations'), migrationsSchema: 'public' });
      const now = await contents();
      const table = await heldPlan(migrating());
      expect(await contents()).toBe(now);
      await approve(table);
      const migration = await heldPlan(migrating());
      expect(await site.ask('plan', 'show', migration)).toMatchObject({ plan: { statements: { length: 4 } } });
      await approve(migration);
      // The command does what the library does, and says less when it is held.
      await kit(directory, 'migrate');
      await migrating();
      expect(await asSuperuser(site.databaseUrl, 'SELECT count(*)::int AS n FROM public.__drizzle_migrations')).toEqual(
        [{ n: 1 }],
      );
      expect(await asSuperuser(site.databaseUrl, 'SELECT count(*)::int AS n FROM public.stops')).toEqual([{ n: 0 }]);
    });

    it('is held when it resets, and nothing is lost', async () => {
      const now = await contents();
      await heldPlan(db.execute(sql.raw('TRUNCATE TABLE customers, reservations, payments RESTART IDENTITY CASCADE')));
      await heldPlan(db.execute(sql.raw('DROP SCHEMA public CASCADE; CREATE SCHEMA public')));
      await heldPlan(db.delete(customers) as unknown as Promise<unknown>);
      expect(await contents()).toBe(now);
    });

    function project(schema: string): string {
      const directory = mkdtempSync(join(site.directory, 'drizzle-'));
      symlinkSync(new URL('../../node_modules', import.meta.url).pathname, join(directory, 'node_modules'));
      writeFileSync(join(directory, 'schema.ts'), schema);
      const config = {
        dialect: 'postgresql',
        out: './migrations',
        schema: './schema.ts',
        // What else there is would be dropped, or asked about.
        tablesFilter: ['loans', 'returns', 'trips', 'stops'].filter((table) => schema.includes(`'${table}'`)),
        migrations: { schema: 'public' },
        dbCredentials: { url: task.postgres },
      };
      writeFileSync(join(directory, 'drizzle.config.json'), JSON.stringify(config));
      return directory;
    }

    async function pull(url: string): Promise<string> {
      const out = mkdtempSync(join(site.directory, 'pull-'));
      await kit(site.directory, 'pull', '--dialect=postgresql', `--url=${url}`, `--out=${out}`);
      return readFileSync(join(out, 'schema.ts'), 'utf8');
    }
  });

  describe('Prisma', () => {
    const filters = { externalTables: [], externalEnums: [] };
    const BASE = 'datasource db {\n  provider = "postgresql"\n}\n';
    const DROPS_ALL = { files: [{ path: 'schema.prisma', content: `${BASE}model Loan {\n  id Int @id\n}\n` }] };
    const engineFor = (url = task.postgres) => prismaEngine(url, BASE);
    type Migrations = Parameters<Awaited<ReturnType<typeof prismaEngine>>['applyMigrations']>[0]['migrationsList'];
    const migrations = (...files: readonly (readonly [name: string, script: string])[]): Migrations => ({
      baseDir: '/migrations',
      lockfile: { path: 'migration_lock.toml', content: 'provider = "postgresql"' },
      shadowDbInitScript: '',
      migrationDirectories: files.map(([path, value]) => ({
        path,
        migrationFile: { path: 'migration.sql', content: { tag: 'ok', value } },
      })),
    });

    it('introspects the same schema as directly', async () => {
      const introspect = async (url: string) => {
        const engine = await engineFor(url);
        return engine.introspect({
          schema: { files: [{ path: 'schema.prisma', content: BASE }] },
          baseDirectoryPath: '/',
          force: true,
          compositeTypeDepth: 0,
          namespaces: null,
        });
      };
      const [governed, direct] = [await introspect(task.postgres), await introspect(site.databaseUrl)];
      expect(governed).toEqual(direct);
      expect(governed.schema.files[0]?.content).toContain('model reservations {');
    });

    it('has each step of a migration held, and goes on after approval', async () => {
      const all = migrations(
        ['0_init', '-- what there was'],
        [
          '20260101000000_fleets',
          'CREATE TABLE fleets (id int PRIMARY KEY);\nCREATE TABLE depots (fleet int REFERENCES fleets);',
        ],
      );
      // Its own table is the first thing it makes.
      const baseline = async () =>
        (await engineFor()).markMigrationApplied({ migrationsList: all, migrationName: '0_init' });
      await approve(await heldPlan(baseline()));
      await baseline();
      const deploy = async () => (await engineFor()).applyMigrations({ migrationsList: all, filters });
      const plan = await heldPlan(deploy());
      expect(await site.ask('plan', 'show', plan)).toMatchObject({ plan: { statements: { length: 2 } } });
      await expect(deploy()).rejects.toThrow('failed migrations');
      await approve(plan);
      await (await engineFor()).markMigrationRolledBack({ migrationName: '20260101000000_fleets' });
      expect(await deploy()).toMatchObject({ appliedMigrationNames: ['20260101000000_fleets'] });
      expect(await deploy()).toMatchObject({ appliedMigrationNames: [] });
      const asked = { migrationsList: all, optInToShadowDatabase: false, filters };
      const status = async (url?: string) => (await engineFor(url)).diagnoseMigrationHistory(asked);
      expect(await status()).toMatchObject({ failedMigrationNames: [], editedMigrationNames: [], history: null });
      expect(await status()).toEqual(await status(site.databaseUrl));
      expect(await asSuperuser(site.databaseUrl, 'SELECT count(*)::int AS rows FROM depots')).toEqual([{ rows: 0 }]);
    });

    it('is held when it pushes a schema that drops everything, and when it resets; nothing is lost', async () => {
      const now = await contents();
      await heldPlan(engineFor().then((engine) => engine.schemaPush({ force: true, schema: DROPS_ALL, filters })));
      await heldPlan(engineFor().then((engine) => engine.reset({ filter: filters })));
      expect(await contents()).toBe(now);
    });
  });
});

/** An error with those behind it: libraries wrap what the database said. */
function whole(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const detail = 'detail' in error ? String(error.detail) : '';
  return `${error.message} ${detail} ${error.cause === undefined ? '' : whole(error.cause)}`;
}

/** Runs drizzle-kit. @throws with what it printed when it fails, or says that it did. */
function kit(cwd: string, ...args: readonly string[]): Promise<string> {
  const command = new URL('../../node_modules/.bin/drizzle-kit', import.meta.url).pathname;
  return new Promise((resolve, reject) => {
    execFile(
      command,
      [...args],
      { cwd, timeout: 60_000, env: { ...process.env, NO_COLOR: '1' } },
      (error, stdout, stderr) => {
        if (error === null && !/error:/i.test(stderr)) resolve(stdout);
        else reject(new Error(`${stdout}\n${stderr}`));
      },
    );
  });
}

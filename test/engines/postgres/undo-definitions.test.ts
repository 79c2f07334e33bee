import type pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connectOwn } from '../../../src/engines/postgres/connect.ts';
import { readFingerprint } from '../../../src/engines/postgres/fingerprint.ts';
import { newest } from '../../fixtures/postgres.ts';
import { applyCredential, openRentalTarget, type RentalTarget } from './rental-target.ts';

const SCHEMA = `
  CREATE TABLE public.thing (id int PRIMARY KEY, name text DEFAULT 'x' NOT NULL, size int, CONSTRAINT sized CHECK (size > 0));
  CREATE INDEX thing_name ON public.thing (name) WHERE size > 1;
  CREATE TABLE public.part (id int PRIMARY KEY, thing int CONSTRAINT of_thing REFERENCES public.thing ON DELETE CASCADE);
  CREATE VIEW public.small AS SELECT id, name FROM public.thing WHERE size < 5;
  CREATE FUNCTION public.twice(n int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT n * 2';
  CREATE FUNCTION public.touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
  CREATE TRIGGER touched BEFORE UPDATE ON public.thing FOR EACH ROW EXECUTE FUNCTION public.touch();
  CREATE RULE kept AS ON DELETE TO public.part WHERE OLD.id = 0 DO INSTEAD NOTHING;`;

/** Changes of definitions that have a way back. */
const REVERSIBLE = [
  'CREATE TABLE public.made (id serial PRIMARY KEY, thing int REFERENCES public.thing, UNIQUE (thing))',
  'CREATE TABLE public.made AS SELECT * FROM public.thing',
  'CREATE TABLE public.made (a int, b int) PARTITION BY LIST (a)',
  'CREATE SCHEMA made',
  'CREATE VIEW public.made AS SELECT id FROM public.thing',
  'CREATE MATERIALIZED VIEW public.made AS SELECT id FROM public.thing',
  'CREATE SEQUENCE public.made',
  'CREATE TYPE public.made AS ENUM ($$a$$)',
  'CREATE TYPE public.made AS (a int, b text)',
  'CREATE DOMAIN public.made AS text CHECK (VALUE <> $$$$)',
  'CREATE INDEX made ON public.thing (size)',
  'CREATE FUNCTION public.made(a int, b text[]) RETURNS int LANGUAGE sql AS $$SELECT 1$$',
  'CREATE PROCEDURE public.made() LANGUAGE sql AS $$SELECT 1$$',
  'CREATE TRIGGER made AFTER INSERT ON public.part FOR EACH ROW EXECUTE FUNCTION public.touch()',
  'CREATE POLICY made ON public.thing USING (true)',
  'ALTER TABLE public.thing ADD COLUMN made int DEFAULT 7 NOT NULL',
  'ALTER TABLE public.thing ADD COLUMN made serial',
  'ALTER TABLE public.thing ADD CONSTRAINT made UNIQUE (name)',
  'ALTER TABLE public.part ADD CONSTRAINT made CHECK (id > 0)',
  'ALTER TABLE public.thing ALTER name DROP DEFAULT',
  "ALTER TABLE public.thing ALTER name SET DEFAULT 'it''s'",
  'ALTER TABLE public.thing ALTER size SET DEFAULT 3, ALTER size SET NOT NULL',
  'ALTER TABLE public.thing ALTER name DROP NOT NULL',
  'ALTER TABLE public.thing DROP CONSTRAINT sized',
  'ALTER TABLE public.part DROP CONSTRAINT of_thing',
  'ALTER TABLE public.part DROP CONSTRAINT part_pkey',
  'ALTER TABLE public.thing DISABLE TRIGGER touched',
  'DROP INDEX public.thing_name',
  'DROP TRIGGER touched ON public.thing',
  'DROP RULE kept ON public.part',
  'DROP FUNCTION public.twice(int)',
  'CREATE OR REPLACE FUNCTION public.twice(n int) RETURNS int LANGUAGE sql IMMUTABLE AS $$SELECT n + n$$',
  'CREATE OR REPLACE VIEW public.small AS SELECT id, name FROM public.thing WHERE size < 3',
];

/** What a backup alone brings back, and says so. */
const IRREVERSIBLE = [
  'DROP TABLE public.part',
  'ALTER TABLE public.part DROP COLUMN thing',
  'ALTER TABLE public.part ALTER thing TYPE bigint',
  'ALTER TABLE public.thing RENAME TO renamed',
  'ALTER TYPE public.reservation_status ADD VALUE $$more$$',
  'DROP VIEW public.small',
  'DROP SCHEMA public CASCADE',
];

describe.each(newest)('G8 the way back of definitions, on $name', ({ binaries }) => {
  let rental: RentalTarget;
  let client: pg.Client;
  beforeAll(async () => {
    rental = await openRentalTarget(binaries, { settings: { autovacuum: 'off' } });
    await rental.sql(`SET ROLE countersign_apply; ${SCHEMA}`);
    client = await connectOwn(rental.target, applyCredential);
  }, 60_000);
  afterAll(async () => {
    await client?.end();
    await rental?.remove();
  });

  async function inverseOf(sql: string) {
    const { measurement, failure } = await rental.measure([sql], ['public.thing', 'public.part'], { repeatable: true });
    if (!measurement.measured) throw new Error(failure?.message ?? measurement.why);
    return measurement.effect.inverse;
  }

  it.each(REVERSIBLE)('is told for: %s', async (sql) => {
    const inverse = await inverseOf(sql);
    if (inverse === undefined || 'why' in inverse) throw new Error(inverse?.why ?? 'nothing has changed');
    await client.query('BEGIN');
    try {
      const before = await readFingerprint(client);
      await client.query(sql);
      expect(await readFingerprint(client)).not.toEqual(before);
      for (const statement of inverse.statements) await client.query(statement);
      expect(await readFingerprint(client)).toEqual(before);
    } finally {
      await client.query('ROLLBACK');
    }
  });

  it.each(IRREVERSIBLE)('is said not to be there for: %s', async (sql) => {
    expect(await inverseOf(sql)).toMatchObject({ why: expect.stringContaining('only a backup brings it back') });
  });
});

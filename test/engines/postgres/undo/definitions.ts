/** What changes of definitions are made to. */
export const DEFINITIONS_SCHEMA = `
  CREATE TABLE public.thing (id int PRIMARY KEY, name text DEFAULT 'x' NOT NULL, size int, CONSTRAINT sized CHECK (size > 0));
  CREATE INDEX thing_name ON public.thing (name) WHERE size > 1;
  CREATE TABLE public.piece (id int PRIMARY KEY, thing int CONSTRAINT of_thing REFERENCES public.thing ON DELETE CASCADE);
  CREATE VIEW public.small AS SELECT id, name FROM public.thing WHERE size < 5;
  CREATE FUNCTION public.twice(n int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT n * 2';
  CREATE FUNCTION public.touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
  CREATE TRIGGER touched BEFORE UPDATE ON public.thing FOR EACH ROW EXECUTE FUNCTION public.touch();
  CREATE POLICY seen ON public.thing AS RESTRICTIVE FOR UPDATE TO pg_monitor, countersign_apply USING (id > 1) WITH CHECK (id > 2);
  CREATE RULE kept AS ON DELETE TO public.piece WHERE OLD.id = 0 DO INSTEAD NOTHING;`;

/** Changes of definitions that have a way back. */
export const REVERSIBLE = [
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
  'CREATE TRIGGER made AFTER INSERT ON public.piece FOR EACH ROW EXECUTE FUNCTION public.touch()',
  'CREATE POLICY made ON public.thing USING (true)',
  'ALTER TABLE public.thing ADD COLUMN made int DEFAULT 7 NOT NULL',
  'ALTER TABLE public.thing ADD COLUMN made serial',
  'ALTER TABLE public.thing ADD CONSTRAINT made UNIQUE (name)',
  'ALTER TABLE public.piece ADD CONSTRAINT made CHECK (id > 0)',
  'ALTER TABLE public.thing ALTER name DROP DEFAULT',
  "ALTER TABLE public.thing ALTER name SET DEFAULT 'it''s'",
  'ALTER TABLE public.thing ALTER size SET DEFAULT 3, ALTER size SET NOT NULL',
  'ALTER TABLE public.thing ALTER name DROP NOT NULL',
  'ALTER TABLE public.thing DROP CONSTRAINT sized',
  'ALTER TABLE public.piece DROP CONSTRAINT of_thing',
  'ALTER TABLE public.piece DROP CONSTRAINT piece_pkey',
  'ALTER TABLE public.thing DISABLE TRIGGER touched',
  'DROP VIEW public.small',
  'DROP INDEX public.thing_name',
  'DROP TRIGGER touched ON public.thing',
  'DROP RULE kept ON public.piece',
  'DROP POLICY seen ON public.thing',
  'DROP FUNCTION public.twice(int)',
  'CREATE OR REPLACE FUNCTION public.twice(n int) RETURNS int LANGUAGE sql IMMUTABLE AS $$SELECT n + n$$',
  'CREATE OR REPLACE VIEW public.small AS SELECT id, name FROM public.thing WHERE size < 3',
];

/** What a backup alone brings back, and says so, where nothing goes into quarantine. */
export const IRREVERSIBLE = [
  'DROP TABLE public.piece',
  'ALTER TABLE public.piece DROP COLUMN thing',
  'ALTER TABLE public.piece ALTER thing TYPE bigint',
  'ALTER TABLE public.thing RENAME TO renamed',
  'ALTER TYPE public.reservation_status ADD VALUE $$more$$',
  'DROP SCHEMA public CASCADE',
];

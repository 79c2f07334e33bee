/** Scripts that change the schema, and leave it as it was. */
export const DEFINITIONS: readonly string[] = [
  String.raw`
CREATE TABLE public.d1 (id int PRIMARY KEY, name text NOT NULL); \d public.d1
DROP TABLE public.d1;
`,
  `
CREATE TABLE public.d2 (a int);
CREATE TABLE public.d2 (a int);
DROP TABLE public.d2;
DROP TABLE public.d2;
`,
  String.raw`
CREATE TABLE public.d3 (a int, b text);
ALTER TABLE public.d3 ADD COLUMN c date DEFAULT current_date, DROP COLUMN b;
\d public.d3
ALTER TABLE public.d3 RENAME COLUMN a TO renamed;
\d public.d3
ALTER TABLE public.d3 ADD COLUMN c int;
DROP TABLE public.d3;
`,
  `
CREATE TABLE public.d4 AS SELECT g AS n, 'row ' || g AS label FROM generate_series(1, 5) AS g;
SELECT * FROM public.d4 ORDER BY n;
DROP TABLE public.d4;
`,
  `
SELECT 1 AS one INTO public.d5;
TABLE public.d5;
DROP TABLE public.d5;
`,
  String.raw`
CREATE INDEX d6 ON public.customers (lower(email));
\d public.customers
DROP INDEX public.d6;
`,
  String.raw`
CREATE VIEW public.d7 AS SELECT id, email FROM public.customers;
SELECT count(*) FROM public.d7;
\d+ public.d7
CREATE OR REPLACE VIEW public.d7 AS SELECT id, email, 'x' AS more FROM public.customers;
\d public.d7
CREATE OR REPLACE VIEW public.d7 AS SELECT id FROM public.customers;
DROP VIEW public.d7;
`,
  String.raw`
CREATE TYPE public.d8 AS ENUM ('low', 'high');
\dT public.d8
ALTER TYPE public.d8 ADD VALUE 'higher';
\dT public.d8
DROP TYPE public.d8;
`,
  String.raw`
CREATE SEQUENCE public.d9 START 10 INCREMENT 5;
\d public.d9
ALTER SEQUENCE public.d9 INCREMENT 7;
DROP SEQUENCE public.d9;
`,
  `
COMMENT ON TABLE public.customers IS 'for a moment';
SELECT obj_description('public.customers'::regclass);
COMMENT ON TABLE public.customers IS NULL;
`,
  String.raw`
CREATE TABLE public.d10 (id int PRIMARY KEY);
CREATE TABLE public.d10_child (id int REFERENCES public.d10);
DROP TABLE public.d10;
DROP TABLE public.d10 CASCADE;
\d public.d10_child
DROP TABLE public.d10_child;
`,
  `
CREATE TABLE public.d11 (a int) PARTITION BY RANGE (a);
CREATE TABLE public.d11_1 PARTITION OF public.d11 FOR VALUES FROM (0) TO (10);
INSERT INTO public.d11 VALUES (3), (4);
SELECT tableoid::regclass, a FROM public.d11;
INSERT INTO public.d11 VALUES (30);
DROP TABLE public.d11;
`,
  `
CREATE TABLE public.d12 (a int);
INSERT INTO public.d12 VALUES (1), (2), (2);
CREATE UNIQUE INDEX ON public.d12 (a);
ALTER TABLE public.d12 ADD CONSTRAINT positive CHECK (a > 1);
TRUNCATE public.d12;
ALTER TABLE public.d12 ADD CONSTRAINT positive CHECK (a > 1);
INSERT INTO public.d12 VALUES (0);
DROP TABLE public.d12;
`,
  `
CREATE MATERIALIZED VIEW public.d13 AS SELECT count(*) AS n FROM public.vehicles;
SELECT n > 0 FROM public.d13;
REFRESH MATERIALIZED VIEW public.d13;
DROP MATERIALIZED VIEW public.d13;
`,
  String.raw`
CREATE DOMAIN public.d14 AS int CHECK (VALUE > 0);
\dD public.d14
DROP DOMAIN public.d14;
`,
  String.raw`
CREATE FUNCTION public.d15(a int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT a + 1';
\df public.d15
DROP FUNCTION public.d15(int);
DROP FUNCTION public.d15(int);
`,
  `
CREATE TABLE public.d16 (a int,);
CREATE TABLE public.d16 (a nonsense);
ALTER TABLE public.nowhere ADD COLUMN a int;
DROP VIEW public.customers;
`,
  `
DROP TABLE IF EXISTS public.nowhere;
CREATE TABLE IF NOT EXISTS public.customers (a int);
ALTER TABLE IF EXISTS public.nowhere ADD COLUMN a int;
`,
  `
CREATE TABLE public.d17 (a int);
GRANT SELECT ON public.d17 TO PUBLIC;
SELECT has_table_privilege('public', 'public.d17', 'SELECT');
REVOKE SELECT ON public.d17 FROM PUBLIC;
DROP TABLE public.d17;
`,
  `
BEGIN;
CREATE TABLE public.t1 (a int);
INSERT INTO public.t1 VALUES (1), (2);
ALTER TABLE public.t1 ADD COLUMN b text;
UPDATE public.t1 SET b = 'two' WHERE a = 2;
COMMIT;
TABLE public.t1;
DROP TABLE public.t1;
`,
  `
BEGIN;
CREATE TABLE public.t2 (a int);
CREATE TABLE public.t2 (a int);
CREATE TABLE public.t2_other (a int);
COMMIT;
TABLE public.t2;
`,
  `
BEGIN;
DROP TABLE public.telemetry CASCADE;
DROP VIEW public.fleet_utilisation;
ROLLBACK;
SELECT count(*) > 0 FROM public.fleet_utilisation;
`,
  `
BEGIN;
SELECT count(*) > 0 FROM public.vehicles;
CREATE INDEX t4_points ON public.customers (loyalty_points);
UPDATE public.vehicles SET retired = retired WHERE id = 1 RETURNING id;
CREATE TYPE public.t4_state AS ENUM ('new', 'old');
CREATE TABLE public.t4 (id int PRIMARY KEY, state public.t4_state NOT NULL DEFAULT 'new');
CREATE TABLE IF NOT EXISTS public.t4 (id int);
INSERT INTO public.t4 (id) SELECT generate_series(1, 3);
COMMIT;
SELECT id, state FROM public.t4;
DROP TABLE public.t4;
DROP TYPE public.t4_state;
DROP INDEX public.t4_points;
`,
  `
BEGIN\\; CREATE TABLE public.t5 (a int)\\; INSERT INTO public.t5 VALUES (1)\\; COMMIT\\; SELECT 1 AS after;
TABLE public.t5;
CREATE TABLE public.t5_more (a int)\\; INSERT INTO public.t5_more VALUES (7);
DROP TABLE public.t5, public.t5_more;
`,
  `
BEGIN;
SET LOCAL search_path = public;
CREATE TABLE t6 (a int);
ALTER TABLE t6 ADD CHECK (a > 0);
INSERT INTO t6 VALUES (-1);
ROLLBACK;
SELECT to_regclass('public.t6') IS NULL;
`,
  `
BEGIN;
CREATE TABLE public.t7 (a int);
BEGIN;
nonsense;
INSERT INTO public.t7 VALUES (1);
ROLLBACK;
`,
];

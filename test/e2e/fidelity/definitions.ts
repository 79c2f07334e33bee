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
];

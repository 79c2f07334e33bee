-- What undo has to bring back exactly: each kind of value, of key and of dependence between tables.
CREATE TYPE public.mood AS ENUM ('sad', 'fine');
CREATE TYPE public.point3 AS (x double precision, y double precision, label text);
CREATE DOMAIN public.percent AS numeric CHECK (VALUE BETWEEN 0 AND 100);

CREATE TABLE public.kinds (id integer PRIMARY KEY, gone text,
  small smallint, big bigint, num numeric, num2 numeric(12, 4), real4 real, real8 double precision, cash money, flag boolean,
  plain text, short varchar(40), fixed char(10), one "char", nam name, bin bytea, bits bit(5), vbits varbit, uid uuid,
  js json, jsb jsonb, markup xml, path jsonpath,
  day date, at time, atz timetz, ts timestamp, tstz timestamptz, span interval,
  ip inet, net cidr, mac macaddr, mac8 macaddr8,
  pt point, ln line, seg lseg, bx box, pth path, poly polygon, circ circle,
  tsv tsvector, tsq tsquery, lsn pg_lsn, rel regclass, typ regtype, xid8 xid8,
  ints integer[], texts text[], grid integer[][], jsons json[], moods public.mood[],
  feeling public.mood, place public.point3, places public.point3[], share public.percent,
  r4 int4range, rnum numrange, rts tstzrange, multi int4multirange, acl aclitem[], snap pg_snapshot,
  twice numeric GENERATED ALWAYS AS (num2 * 2) STORED);
ALTER TABLE public.kinds DROP COLUMN gone;
INSERT INTO public.kinds (id, plain) SELECT i, 'row ' || i FROM generate_series(1, 3) AS i;

CREATE TABLE public.parents (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, email text UNIQUE, changes integer NOT NULL DEFAULT 0);
CREATE TABLE public.children (id serial PRIMARY KEY, parent_id bigint REFERENCES public.parents ON DELETE CASCADE ON UPDATE CASCADE, body text);
CREATE TABLE public.grandchildren (id integer PRIMARY KEY, child_id integer REFERENCES public.children ON DELETE SET NULL, note text DEFAULT 'none');
CREATE TABLE public.strict (id integer PRIMARY KEY, parent_id bigint NOT NULL REFERENCES public.parents ON DELETE RESTRICT);
CREATE TABLE public.late (id integer PRIMARY KEY, parent_id bigint REFERENCES public.parents DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE public.tree (id integer PRIMARY KEY, up integer REFERENCES public.tree ON DELETE CASCADE, name text);
CREATE TABLE public.log (at timestamptz NOT NULL DEFAULT clock_timestamp(), line text);
CREATE TABLE public.loose (a integer, b json);
CREATE TABLE public.booked (room integer, during tsrange);
CREATE TABLE public.pairs (a text, b integer, v text, PRIMARY KEY (b, a));
CREATE TABLE public.noted (id integer PRIMARY KEY, v text, seen integer DEFAULT 0);
CREATE TABLE public.slots (id integer PRIMARY KEY, place integer UNIQUE DEFERRABLE);
CREATE TABLE public.long (id integer PRIMARY KEY, body text, raw bytea);
CREATE TABLE public.folded (word text COLLATE "C" NOT NULL UNIQUE, n integer);
CREATE TABLE public.parts (id integer, region text, v text, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
CREATE TABLE public.parts_eu PARTITION OF public.parts FOR VALUES IN ('eu');
CREATE TABLE public.parts_us (v text, region text NOT NULL, id integer NOT NULL);
ALTER TABLE public.parts ATTACH PARTITION public.parts_us FOR VALUES IN ('us');
CREATE TABLE public."Odd Name" ("Id" integer PRIMARY KEY, "a ""b""" text, "copies" integer);
CREATE VIEW public.cheap AS SELECT id, v FROM public.noted WHERE id < 100;

CREATE FUNCTION public.logs() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.log (line) VALUES (TG_OP || ' ' || TG_TABLE_NAME); RETURN NULL; END $$;
CREATE FUNCTION public.counts() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.seen := NEW.seen + 1; RETURN NEW; END $$;
CREATE FUNCTION public.again() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  IF NEW.changes < 5 THEN UPDATE public.parents SET changes = changes + 10 WHERE id = NEW.id; END IF; RETURN NULL; END $$;
CREATE TRIGGER logs AFTER INSERT OR UPDATE OR DELETE ON public.children FOR EACH ROW EXECUTE FUNCTION public.logs();
CREATE TRIGGER logs_all AFTER INSERT OR UPDATE OR DELETE ON public.parents FOR EACH STATEMENT EXECUTE FUNCTION public.logs();
CREATE TRIGGER counts BEFORE INSERT OR UPDATE ON public.noted FOR EACH ROW EXECUTE FUNCTION public.counts();
CREATE TRIGGER again AFTER UPDATE ON public.parents FOR EACH ROW EXECUTE FUNCTION public.again();
CREATE RULE kept AS ON DELETE TO public.pairs DO ALSO INSERT INTO public.log (line) VALUES ('a pair went');

INSERT INTO public.parents (email, changes) SELECT 'p' || i || '@example.org', 9 FROM generate_series(1, 20) AS i;
INSERT INTO public.children (parent_id, body) SELECT 1 + i % 15, 'child ' || i FROM generate_series(1, 60) AS i;
INSERT INTO public.grandchildren (id, child_id) SELECT i, i FROM generate_series(1, 40) AS i;
INSERT INTO public.strict SELECT i, 15 + i FROM generate_series(1, 5) AS i;
INSERT INTO public.late SELECT i, 15 + i FROM generate_series(1, 5) AS i;
INSERT INTO public.tree SELECT i, nullif(i / 2, 0), 'node ' || i FROM generate_series(1, 31) AS i;
INSERT INTO public.loose SELECT i % 3, '{"a" :  1}' FROM generate_series(1, 9) AS i;
INSERT INTO public.booked VALUES (1, '[2026-01-01,2026-01-02)'), (1, '[2026-01-03,2026-01-04)');
INSERT INTO public.pairs SELECT 'k' || i, i, 'v' || i FROM generate_series(1, 5) AS i;
INSERT INTO public.noted SELECT i, 'v' || i FROM generate_series(1, 10) AS i;
INSERT INTO public.slots SELECT i, i FROM generate_series(1, 10) AS i;
INSERT INTO public.long SELECT i, string_agg(md5((i * n)::text), ''), decode(string_agg(md5((i + n)::text), ''), 'hex') FROM generate_series(1, 4) AS i, generate_series(1, 800) AS n GROUP BY i;
INSERT INTO public.folded VALUES ('a', 1), ('A', 2);
INSERT INTO public.parts SELECT i, CASE i % 2 WHEN 0 THEN 'eu' ELSE 'us' END, 'part ' || i FROM generate_series(1, 8) AS i;
INSERT INTO public."Odd Name" VALUES (1, 'x', 7), (2, NULL, 8);

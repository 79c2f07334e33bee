/** What the scripts look at besides the rental database: every family of types, and objects with awkward names. */
export const SPECIMENS = String.raw`
CREATE TYPE public.mood AS ENUM ('sad', 'ok', 'happy', 'a "quoted" mood');
CREATE TYPE public.address AS (street text, number int, "Post Code" text);
CREATE TYPE public.span AS RANGE (subtype = float8);
CREATE DOMAIN public.percentage AS numeric(5, 2) CHECK (VALUE BETWEEN 0 AND 100);

CREATE TABLE public.specimens (
  id int PRIMARY KEY,
  a_bool bool, an_int2 int2, an_int4 int4, an_int8 int8, a_float4 float4, a_float8 float8, a_numeric numeric, a_money money,
  a_text text, a_varchar varchar(10), a_char char(5), a_name name, an_internal "char", a_bytea bytea,
  a_date date, a_time time, a_timetz timetz, a_timestamp timestamp, a_timestamptz timestamptz, an_interval interval,
  a_uuid uuid, an_inet inet, a_cidr cidr, a_macaddr macaddr, a_macaddr8 macaddr8,
  a_bit bit(4), a_varbit varbit, a_point point, a_line line, an_lseg lseg, a_box box, a_path path, a_polygon polygon, a_circle circle,
  a_json json, a_jsonb jsonb, a_jsonpath jsonpath, an_xml xml, a_tsvector tsvector, a_tsquery tsquery,
  an_oid oid, a_regclass regclass, a_regtype regtype, an_lsn pg_lsn, a_snapshot pg_snapshot,
  an_int4range int4range, an_int8range int8range, a_numrange numrange, a_tsrange tsrange, a_tstzrange tstzrange, a_daterange daterange,
  an_int4multirange int4multirange, a_datemultirange datemultirange,
  a_mood mood, an_address address, a_span span, a_percentage percentage,
  ints int[], texts text[], moods mood[], addresses address[], dates date[], numerics numeric[][], jsonbs jsonb[], bools bool[]
);
INSERT INTO public.specimens VALUES
(1, true, -32768, 2147483647, -9223372036854775808, 1.5, 1e-300, 12345678901234567890.123456789, 1234.56,
 E'tab\there, "quotes" and back\\slash', 'ten chars.', 'abc', 'a name', 'x', '\xdeadbeef00',
 '2026-01-31', '23:59:59.999999', '10:11:12+05:30', '2026-01-31 10:11:12.123456', '2026-07-01 12:00:00Z', '1 year 2 mons -3 days 04:05:06.789',
 '550e8400-e29b-41d4-a716-446655440000', '2001:db8::1/64', '10.0.0.0/8', '08:00:2b:01:02:03', '08:00:2b:01:02:03:04:05',
 B'1010', B'10101', '(1.5,-2)', '{1,-1,0}', '[(0,0),(1,1)]', '(2,2),(1,1)', '[(0,0),(1,1),(2,0)]', '((0,0),(1,1),(2,0))', '<(0,0),2.5>',
 '{"b": 1,  "a": [1, null, {"c": "ü"}]}', '{"b": 1, "a": [1, null, {"c": "ü"}]}', '$.a[*] ? (@ > 1)', '<a href="x">text &amp; more</a>', 'a fat cat', 'fat & (rat | cat) & !dog',
 4294967295, 'customers', 'int4', '16/B374D848', '10:20:10,14,15',
 '[1,10)', '(,5]', '[1.5,2.5]', '[2026-01-01,2026-02-01)', '[2026-01-01 00:00Z,)', 'empty',
 '{[1,3),[5,8)}', '{[2026-01-01,2026-01-05)}',
 'happy', ROW('Main "St"', 5, 'AB 1'), '[0.5,1.5]', 99.95,
 '{1,NULL,3}', '{a,"b c","d\"e",NULL,"NULL",""}', '{sad,"a \"quoted\" mood"}', ARRAY[ROW('x', 1, NULL)::address], '{2026-01-01,infinity}', '{{1.10,2},{3,4}}', ARRAY['{"a":1}'::jsonb, 'null'], '{t,f,NULL}'),
(2, false, 0, 0, 0, 'NaN', '-Infinity', 'NaN', -0.01, '', '', '', '', '', '', '-infinity', '24:00:00', '00:00+00', 'infinity', '4713-01-01 00:00:00+00 BC', '-1 day',
 '00000000-0000-0000-0000-000000000000', '0.0.0.0', '::/0', 'ff:ff:ff:ff:ff:ff', 'ff:ff:ff:ff:ff:ff:ff:ff', B'0000', B'', '(NaN,Infinity)', '{0,1,2}', '[(0,0),(0,0)]', '(0,0),(0,0)', '((0,0))', '((0,0))', '<(0,0),0>',
 '[]', '{}', '$', '', '', '', 0, 'specimens', 'mood', '0/0', '1:1:', 'empty', '[,]', '(,)', '(,)', 'empty', '[2026-01-01,2026-01-01]', '{}', '{}', 'sad', ROW('', NULL, ''), 'empty', 0,
 '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}');
INSERT INTO public.specimens (id) VALUES (3);

CREATE SCHEMA "Odd Schema";
CREATE TABLE "Odd Schema"."Select" ("from" int PRIMARY KEY, "Größe €" text DEFAULT 'x', "with""quote" text COLLATE "C", "a very long column name that is cut by the server because it has too many bytes" int);
INSERT INTO "Odd Schema"."Select" VALUES (1, 'groß', 'a"b', 7);
COMMENT ON TABLE "Odd Schema"."Select" IS E'Comments\nof two lines';
COMMENT ON COLUMN "Odd Schema"."Select"."from" IS 'where it is from';
CREATE MATERIALIZED VIEW public.models AS SELECT model, count(*) AS vehicles FROM public.vehicles GROUP BY model;
CREATE UNIQUE INDEX models_model ON public.models (model);
CREATE TABLE public.drafts (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, title text NOT NULL, state mood DEFAULT 'ok', score percentage, tags text[] DEFAULT '{}', parent int REFERENCES public.drafts DEFERRABLE INITIALLY DEFERRED, UNIQUE (title) );
INSERT INTO public.drafts (title, score, tags) VALUES ('first', 10, '{a,b}'), ('second', 20.5, '{}'), ('third', NULL, '{c}');
CREATE SEQUENCE public.counter START 5 INCREMENT 5 MAXVALUE 100 CYCLE;
CREATE STATISTICS public.specimen_stats ON an_int4, an_int8 FROM public.specimens;
`;

-- A function that is declared immutable is evaluated while a plain SELECT is planned.
-- expected: unknown
-- vouch: public.lie()
CREATE TABLE public.counted (id int, b text);
CREATE STATISTICS public.counted_stats ON (id + public.lie()), b FROM public.counted;
INSERT INTO public.counted SELECT i, 'b' FROM generate_series(1, 100) AS i;
ANALYZE public.counted;
-- statement
SELECT * FROM public.counted WHERE id > 3

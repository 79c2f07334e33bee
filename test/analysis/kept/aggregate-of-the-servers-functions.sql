-- An aggregate is as good as the functions that it is made of.
-- expected: read
CREATE AGGREGATE public.placid(int) (SFUNC = int4pl, STYPE = int, INITCOND = '0');
-- statement
SELECT public.placid(n) FROM generate_series(1, 3) AS n

-- DISTINCT compares by the type's own order, which no operator in the text names.
-- expected: unknown
-- vouch: public.pair_cmp(public.pair, public.pair)
CREATE TYPE public.pair AS (x int, y int);
CREATE FUNCTION public.pair_cmp(public.pair, public.pair) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM public.bite(); RETURN 0; END $$;
CREATE FUNCTION public.pair_is(public.pair, public.pair) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT true';
CREATE OPERATOR public.<<< (LEFTARG = public.pair, RIGHTARG = public.pair, FUNCTION = public.pair_is);
CREATE OPERATOR public.=== (LEFTARG = public.pair, RIGHTARG = public.pair, FUNCTION = public.pair_is);
CREATE OPERATOR public.>>> (LEFTARG = public.pair, RIGHTARG = public.pair, FUNCTION = public.pair_is);
CREATE OPERATOR CLASS public.pair_ops DEFAULT FOR TYPE public.pair USING btree AS OPERATOR 1 public.<<<, OPERATOR 3 public.===, OPERATOR 5 public.>>>, FUNCTION 1 public.pair_cmp(public.pair, public.pair);
CREATE TABLE public.pairs (id int, p public.pair);
INSERT INTO public.pairs VALUES (1, ROW(1, 1)::public.pair), (2, ROW(1, 2)::public.pair);
-- statement
SELECT DISTINCT p FROM public.pairs

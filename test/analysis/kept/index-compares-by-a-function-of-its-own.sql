-- The operator is the server's own, the index compares by a user's function.
-- expected: unknown
-- vouch: public.int_cmp(integer, integer)
CREATE FUNCTION public.int_cmp(int, int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM public.bite(); RETURN $1 - $2; END $$;
CREATE OPERATOR CLASS public.int_ops FOR TYPE int USING btree AS OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >, FUNCTION 1 public.int_cmp(int, int);
CREATE TABLE public.ordered (id int);
INSERT INTO public.ordered SELECT generate_series(1, 9);
CREATE INDEX ON public.ordered (id public.int_ops);
SET LOCAL enable_seqscan = off;
-- statement
SELECT count(*) FROM public.ordered WHERE id = 4

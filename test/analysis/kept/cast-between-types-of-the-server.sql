-- Nothing in the statement is a user's, only the cast is.
-- expected: unknown
-- vouch: public.dated(boolean)
CREATE FUNCTION public.dated(boolean) RETURNS date LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM public.bite(); RETURN '2026-01-01'; END $$;
CREATE CAST (boolean AS date) WITH FUNCTION public.dated(boolean) AS IMPLICIT;
-- statement
SELECT (1 > 0)::date

-- The cast runs a function, and the type that is named is the server's own.
-- expected: unknown
-- vouch: public.shade(public.colour)
CREATE TYPE public.colour AS ENUM ('red', 'green');
CREATE FUNCTION public.shade(public.colour) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN public.bite(); END $$;
CREATE CAST (public.colour AS int) WITH FUNCTION public.shade(public.colour);
CREATE TABLE public.painted (id int, paint public.colour);
INSERT INTO public.painted VALUES (1, 'red');
-- statement
SELECT paint::int FROM public.painted

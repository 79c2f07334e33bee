-- The same table, read without the cast, is harmless.
-- expected: read
CREATE TYPE public.colour AS ENUM ('red', 'green');
CREATE FUNCTION public.shade(public.colour) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN public.bite(); END $$;
CREATE CAST (public.colour AS int) WITH FUNCTION public.shade(public.colour);
CREATE TABLE public.painted (id int, paint public.colour);
INSERT INTO public.painted VALUES (1, 'red');
-- statement
SELECT id, paint::text FROM public.painted ORDER BY paint

-- What makes JSON of a row looks for casts of what is in it.
-- expected: unknown
-- vouch: public.as_json(public.colour)
CREATE TYPE public.colour AS ENUM ('red', 'green');
CREATE FUNCTION public.as_json(public.colour) RETURNS json LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM public.bite(); RETURN '1'; END $$;
CREATE CAST (public.colour AS json) WITH FUNCTION public.as_json(public.colour);
CREATE TYPE public.palette AS (one public.colour);
CREATE TABLE public.palettes (id int, main public.palette);
INSERT INTO public.palettes VALUES (1, ROW('red'));
-- statement
SELECT row_to_json(p) FROM public.palettes AS p

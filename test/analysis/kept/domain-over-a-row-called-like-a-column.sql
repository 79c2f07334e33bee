-- row.name also calls a function that takes a domain over the row's type.
-- expected: unknown
-- vouch: public.glance(public.noted_row)
CREATE TABLE public.noted (id int);
INSERT INTO public.noted VALUES (1);
CREATE DOMAIN public.noted_row AS public.noted;
CREATE FUNCTION public.glance(public.noted_row) RETURNS int LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN public.bite(); END $$;
-- statement
SELECT n.glance FROM public.noted AS n

-- A rule puts another statement in the place of this one.
-- expected: write
-- tells: update public.swallowed
CREATE TABLE public.ruled (id int);
CREATE TABLE public.swallowed (id int);
INSERT INTO public.swallowed VALUES (1);
CREATE RULE stead AS ON DELETE TO public.ruled DO INSTEAD UPDATE public.swallowed SET id = 2;
-- statement
DELETE FROM public.ruled

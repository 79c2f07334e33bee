-- A simple view is changed by changing the table below it.
-- expected: write
-- tells: delete public.below
CREATE TABLE public.below (id int);
INSERT INTO public.below VALUES (1);
CREATE VIEW public.through AS SELECT id FROM public.below;
-- statement
DELETE FROM public.through

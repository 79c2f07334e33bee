-- An invoker's view reads for whoever asks, also where it is read through a view that reads for its owner.
-- expected: read
-- tells: read public.below
CREATE TABLE public.below (id int);
CREATE VIEW public.through WITH (security_invoker = true) AS SELECT id FROM public.below;
CREATE VIEW public.over AS SELECT id FROM public.through;
-- statement
SELECT * FROM public.over

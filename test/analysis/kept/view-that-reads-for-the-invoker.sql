-- It reads with the rights of whoever asks: so does the statement.
-- expected: read
-- tells: read public.below
CREATE TABLE public.below (id int);
CREATE VIEW public.through WITH (security_invoker = true) AS SELECT id FROM public.below;
-- statement
SELECT * FROM public.through

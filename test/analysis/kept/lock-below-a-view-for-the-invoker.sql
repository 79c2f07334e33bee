-- LOCK TABLE locks what is below a view, too; below an invoker's view with the rights of whoever asks.
-- expected: read
-- tells: read public.below
CREATE TABLE public.below (id int);
CREATE VIEW public.through WITH (security_invoker = true) AS SELECT 1 AS one WHERE EXISTS (SELECT FROM public.below);
CREATE VIEW public.over AS SELECT one FROM public.through;
-- statement
LOCK TABLE public.over IN ACCESS SHARE MODE

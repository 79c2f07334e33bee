-- Each policy is an expression of its own.
-- expected: unknown
-- vouch: public.lie(integer)
CREATE TABLE public.guarded (id int);
INSERT INTO public.guarded VALUES (1);
ALTER TABLE public.guarded ENABLE ROW LEVEL SECURITY;
CREATE POLICY a_first ON public.guarded USING (id > 100);
CREATE POLICY b_second ON public.guarded USING (public.lie(id) > 0);
GRANT SELECT ON public.guarded TO kept_reader;
SET LOCAL ROLE kept_reader;
-- statement
SELECT * FROM public.guarded

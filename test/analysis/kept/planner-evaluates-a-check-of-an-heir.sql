-- The check of a table that inherits is compared with the condition of whoever reads its parent.
-- expected: unknown
-- vouch: public.lie()
CREATE TABLE public.above_it (id int);
CREATE TABLE public.below_it (CHECK (id >= public.lie())) INHERITS (public.above_it);
-- statement
SELECT count(*) FROM public.above_it WHERE id > 3

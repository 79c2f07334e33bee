-- Rows of heirs go with those of the table, unless it says ONLY.
-- expected: write
-- tells: delete public.younger
CREATE TABLE public.elder (id int);
CREATE TABLE public.younger () INHERITS (public.elder);
INSERT INTO public.younger VALUES (1);
-- statement
DELETE FROM public.elder

-- The view reads with its owner's rights, and the table beside it with those of whoever asks: its policy is met twice.
-- expected: read
-- tells: read public.members
CREATE TABLE public.members (id int);
CREATE TABLE public.secured (id int);
ALTER TABLE public.secured ENABLE ROW LEVEL SECURITY;
CREATE POLICY mine ON public.secured USING (id IN (SELECT m.id FROM public.members AS m));
CREATE VIEW public.over AS SELECT id FROM public.secured;
-- statement
SELECT * FROM public.over NATURAL JOIN public.secured

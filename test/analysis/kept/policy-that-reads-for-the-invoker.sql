-- A policy for everybody reads with the rights of whoever asks: so does the statement.
-- expected: read
-- tells: read public.members
CREATE TABLE public.members (id int);
CREATE TABLE public.secured (id int);
ALTER TABLE public.secured ENABLE ROW LEVEL SECURITY;
CREATE POLICY mine ON public.secured USING (id IN (SELECT m.id FROM public.members AS m));
-- statement
SELECT * FROM public.secured

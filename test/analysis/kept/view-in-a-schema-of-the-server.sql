-- What lies in information_schema is not always the server's own.
-- expected: unknown
-- vouch: public.lie(integer)
CREATE VIEW information_schema.evil AS SELECT public.lie(1) AS id;
-- statement
SELECT * FROM information_schema.evil

-- Each check is an expression of its own, also of a domain below a domain in an array.
-- expected: unknown
-- vouch: public.lie(integer)
CREATE DOMAIN public.checked AS int CHECK (VALUE > -9) CHECK (public.lie(VALUE) > 0);
CREATE DOMAIN public.above AS public.checked;
-- statement
SELECT '{1}'::public._above

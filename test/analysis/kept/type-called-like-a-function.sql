-- A type's name before parentheses is a cast to it.
-- expected: unknown
-- vouch: public.lie(integer)
CREATE DOMAIN public.checked AS int CHECK (public.lie(VALUE) > 0);
-- statement
SELECT public.checked(1)

-- The parse tree has a field that every object of JavaScript has.
-- expected: read
-- statement
SELECT JSON_ARRAYAGG(n), JSON_OBJECTAGG('k' VALUE n) FROM generate_series(1, 3) AS n

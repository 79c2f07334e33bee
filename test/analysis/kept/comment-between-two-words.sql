-- The server takes a comment for white space wherever one may stand.
-- expected: read
-- statement
SELECT 1 WHERE 1 NOT /* drop */ IN (2) ORDER BY 1 NULLS -- delete
FIRST

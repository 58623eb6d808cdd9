-- When the lease of another epoch runs out next. 1: queue, 2: epoch. Returns one row, with NULL for none.
SELECT min(expires_at)
FROM epoch
WHERE queue = ?1 AND number <> ?2;

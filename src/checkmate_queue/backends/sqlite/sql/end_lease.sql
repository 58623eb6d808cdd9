-- Let a lease run out now. 1: epoch, 2: now.
UPDATE epoch
SET expires_at = ?2
WHERE number = ?1;

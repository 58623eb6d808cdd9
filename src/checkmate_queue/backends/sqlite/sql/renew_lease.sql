-- Renew the lease of a live epoch. 1: epoch, 2: queue, 3: now.
UPDATE epoch
SET expires_at = ?3 + lease_ms
WHERE number = ?1 AND queue = ?2 AND expires_at > ?3;

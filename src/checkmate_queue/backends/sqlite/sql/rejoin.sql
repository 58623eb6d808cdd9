-- Renew the lease of a worker whose epoch lives. 1: queue, 2: worker, 3: now, 4: lease. Returns the epoch.
UPDATE epoch
SET lease_ms = ?4, expires_at = ?3 + ?4
WHERE queue = ?1 AND worker = ?2 AND expires_at > ?3
RETURNING number;

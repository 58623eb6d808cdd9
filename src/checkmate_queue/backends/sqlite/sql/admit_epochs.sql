-- The leases of moved epochs that live start anew. 1: now.
UPDATE epoch
SET expires_at = ?1 + lease_ms
WHERE expires_at = 1;

-- Move leases on over a gap. 1: queue, 2: last contact, 3: the gap, 4: leases shorter than this move.
UPDATE epoch
SET expires_at = expires_at + ?3
WHERE queue = ?1 AND expires_at > ?2 AND lease_ms < ?4;

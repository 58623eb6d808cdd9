-- The clock went back: an epoch that was dead at the last contact stays dead. 1: queue, 2: last contact, 3: now.
UPDATE epoch
SET expires_at = min(expires_at, ?3)
WHERE queue = ?1 AND expires_at <= ?2;

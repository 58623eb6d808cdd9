-- The queue of a name. 1: name. Returns one row or none.
SELECT id, successor, paused, contact_at, attended_at, last_key, last_claim, last_revision,
       delayed, unclaimed, kept_failures
FROM queue
WHERE name = ?1;

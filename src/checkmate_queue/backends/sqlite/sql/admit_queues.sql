-- All queues accept from now on, without a gap. 1: now.
UPDATE queue
SET successor = NULL, contact_at = ?1, attended_at = ?1;

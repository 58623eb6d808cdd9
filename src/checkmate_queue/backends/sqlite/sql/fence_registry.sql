-- Refuse queues that are not known yet, or lift that. 1: successor or NULL.
UPDATE registry
SET successor = ?1;

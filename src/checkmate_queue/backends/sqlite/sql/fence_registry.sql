-- Refuse queues that are not known yet. 1: successor.
UPDATE registry
SET successor = ?1;

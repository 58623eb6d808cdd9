-- Register a queue. 1: name, 2: now. Its keys start at its id << 42.
INSERT INTO queue (id, name, contact_at, attended_at, last_key)
SELECT next.id, ?1, ?2, ?2, next.id << 42
FROM (SELECT ifnull(max(id), 0) + 1 AS id FROM queue) AS next;

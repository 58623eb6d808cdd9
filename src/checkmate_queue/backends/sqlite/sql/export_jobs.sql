-- Jobs in the order of their keys, with what is moved of them. 1: queue, 2: above this key, 3: how many.
SELECT key, CAST(id AS TEXT), schedule, ifnull(CAST(data AS BLOB), x''), ifnull(CAST(metadata AS BLOB), x''),
       priority, enqueued_at, due_at, expires_at, drop_unclaimed, token, format
FROM job
WHERE key > ?2 AND key < (?1 + 1) << 42
ORDER BY key
LIMIT ?3;

-- Claims of an epoch in a group. 1: group, 2: epoch, 3: JSON array of keys.
SELECT key, flags, schedule, number, rank, attempts, stalls, ready_at
FROM claimed
WHERE grp = ?1 AND key IN (SELECT value FROM json_each(?3)) AND epoch = ?2 AND flags < 2;

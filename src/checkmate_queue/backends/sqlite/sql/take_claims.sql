-- Take claims from their epoch. 1: group, 2: epoch, 3: JSON array of keys. Returns the claims.
DELETE FROM claimed
WHERE grp = ?1 AND key IN (SELECT value FROM json_each(?3)) AND epoch = ?2 AND flags < 2
RETURNING key, flags, schedule, number, rank, attempts, stalls, ready_at;

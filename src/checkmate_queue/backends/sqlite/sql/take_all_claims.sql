-- Take an epoch's own claims in a group from it. 1: group, 2: epoch. Returns them.
DELETE FROM claimed
WHERE grp = ?1 AND epoch = ?2 AND flags < 2
RETURNING key, flags, schedule, number, rank, attempts, stalls, ready_at;

-- The claims that an epoch holds and that were cancelled, with their groups. 1: epoch.
SELECT grp, key, flags, schedule, number, rank, attempts, stalls, ready_at
FROM claimed
WHERE epoch = ?1 AND flags > 0 AND flags & 1;

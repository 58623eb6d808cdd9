-- Take the claims of an epoch that were cancelled from it. 1: epoch. Returns their groups, and them.
DELETE FROM claimed
WHERE epoch = ?1 AND flags > 0 AND flags & 1
RETURNING grp, key, flags, schedule, number, rank, attempts, stalls, ready_at;

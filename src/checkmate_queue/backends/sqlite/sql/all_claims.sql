-- All claims of its own that an epoch has in a group. 1: group, 2: epoch.
SELECT key, flags, schedule, number, rank, attempts, stalls, ready_at
FROM claimed
WHERE grp = ?1 AND epoch = ?2 AND flags < 2;

-- A delivery is claimed. 1: group, 2: key, 3: epoch, 4: exchange, 5: the claim's number, 6: rank,
-- 7: attempts, 8: stalls, 9: ready since, 10: schedule.
INSERT INTO claimed (grp, key, epoch, exchange, number, rank, attempts, stalls, ready_at, flags, schedule)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 0, ?10);

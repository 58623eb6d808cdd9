-- Take a delivery out of the ready ones. 1: group, 2: rank, 3: pos.
DELETE FROM ready
WHERE grp = ?1 AND rank = ?2 AND pos = ?3;

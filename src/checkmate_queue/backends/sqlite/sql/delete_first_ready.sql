-- Take the first ready deliveries of a group away. 1: group, 2 and 3: rank and pos of the last of them.
DELETE FROM ready
WHERE grp = ?1 AND (rank, pos) <= (?2, ?3);

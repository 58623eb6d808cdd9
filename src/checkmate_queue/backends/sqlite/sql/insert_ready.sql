-- Make a delivery ready. 1: group, 2: rank, 3: pos, 4: key, 5: mark, 6: attempts, 7: stalls, 8: since when.
INSERT INTO ready (grp, rank, pos, key, mark, attempts, stalls, ready_at)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8);

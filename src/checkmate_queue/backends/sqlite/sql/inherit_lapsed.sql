-- Hand the lapsed claims that a dead epoch held on. 1: dead epoch, 2: its heir.
UPDATE claimed
SET epoch = ?2
WHERE (grp, key) IN (SELECT grp, key FROM claimed INDEXED BY claimed_flagged WHERE epoch = ?1 AND flags > 0);

-- End all claims of a group. 1: group. Returns their keys and flags.
DELETE FROM claimed
WHERE grp = ?1
RETURNING key, flags;

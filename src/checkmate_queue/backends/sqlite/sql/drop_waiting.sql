-- End all deliveries of a group that wait for a retry. 1: group. Returns their keys.
DELETE FROM waiting
WHERE grp = ?1
RETURNING key;

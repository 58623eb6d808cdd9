-- Take a delivery out of those that wait for a retry. 1: group, 2: key.
DELETE FROM waiting
WHERE grp = ?1 AND key = ?2;

-- Nobody is in a group any more. 1: group.
DELETE FROM member
WHERE grp = ?1;

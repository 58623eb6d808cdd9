-- The claims of an epoch that were cancelled, with their groups' names. 1: epoch.
SELECT consumer_group.name, claimed.key
FROM claimed
CROSS JOIN consumer_group ON consumer_group.id = claimed.grp
WHERE claimed.epoch = ?1 AND claimed.flags > 0 AND claimed.flags = 1
ORDER BY consumer_group.name, claimed.key;

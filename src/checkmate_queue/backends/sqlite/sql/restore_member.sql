-- A moved epoch is in a group. 1: epoch, 2: queue, 3: the group's name, 4: its last exchange.
INSERT INTO member (epoch, grp, exchanges)
SELECT ?1, id, ?4
FROM consumer_group
WHERE queue = ?2 AND name = ?3;

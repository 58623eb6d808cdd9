-- An epoch joins a group. 1: epoch, 2: group.
INSERT INTO member (epoch, grp)
VALUES (?1, ?2)
ON CONFLICT DO NOTHING;

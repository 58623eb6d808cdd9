-- The claims of an epoch in the order of their numbers. 1: epoch.
SELECT consumer_group.name, claimed.key, CAST(job.id AS TEXT), claimed.exchange, claimed.flags = 1
FROM member
CROSS JOIN consumer_group ON consumer_group.id = member.grp
CROSS JOIN claimed ON claimed.grp = member.grp AND claimed.epoch = member.epoch
CROSS JOIN job ON job.key = claimed.key
WHERE member.epoch = ?1 AND claimed.flags < 2
ORDER BY claimed.number;

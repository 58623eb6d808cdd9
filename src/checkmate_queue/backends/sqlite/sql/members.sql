-- Who is in which group, with how many claims of its own. 1: queue.
SELECT member.epoch, member.grp, consumer_group.name, (
  SELECT count(*)
  FROM claimed
  WHERE claimed.grp = member.grp AND claimed.epoch = member.epoch AND claimed.flags < 2
)
FROM epoch
CROSS JOIN member ON member.epoch = epoch.number
CROSS JOIN consumer_group ON consumer_group.id = member.grp
WHERE epoch.queue = ?1
ORDER BY consumer_group.name;

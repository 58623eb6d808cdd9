-- The epochs of a queue, and whether each lives, each once for every group that it is in. 1: queue.
SELECT epoch.number, epoch.worker, epoch.lease_ms, epoch.expires_at > queue.contact_at,
       CAST(epoch.report AS BLOB), consumer_group.name, member.exchanges
FROM epoch
CROSS JOIN queue ON queue.id = epoch.queue
LEFT JOIN member ON member.epoch = epoch.number
LEFT JOIN consumer_group ON consumer_group.id = member.grp
WHERE epoch.queue = ?1
ORDER BY epoch.number, consumer_group.name;

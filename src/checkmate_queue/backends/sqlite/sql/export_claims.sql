-- Claims and lapsed claims of a queue in the order of their numbers. 1: queue, 2: above this number, 3: how many.
SELECT claimed.number, claimed.key, consumer_group.name, claimed.attempts, claimed.stalls, claimed.ready_at,
       claimed.epoch, claimed.exchange, claimed.flags
FROM consumer_group
CROSS JOIN claimed ON claimed.grp = consumer_group.id
WHERE consumer_group.queue = ?1 AND consumer_group.name IS NOT NULL AND claimed.number > ?2
ORDER BY claimed.number
LIMIT ?3;

-- All deliveries of a job, with their group and place. 1: key.
SELECT ready.grp, consumer_group.name, 'ready', ready.rank, ready.pos, 0
FROM job
CROSS JOIN consumer_group ON consumer_group.queue = job.queue
CROSS JOIN ready ON ready.grp = consumer_group.id AND ready.rank = -job.priority AND ready.pos = job.pos
WHERE job.key = ?1 AND ready.mark = 0
UNION ALL
SELECT ready.grp, consumer_group.name, 'ready', ready.rank, ready.pos, ready.mark = 2
FROM ready
CROSS JOIN consumer_group ON consumer_group.id = ready.grp
WHERE ready.key = ?1 AND ready.mark > 0
UNION ALL
SELECT claimed.grp, consumer_group.name, 'claimed', claimed.rank, 0, 1
FROM job
CROSS JOIN consumer_group ON consumer_group.queue = job.queue
CROSS JOIN claimed ON claimed.grp = consumer_group.id AND claimed.key = job.key
WHERE job.key = ?1
UNION ALL
SELECT waiting.grp, consumer_group.name, 'waiting', waiting.rank, 0, 1
FROM job
CROSS JOIN consumer_group ON consumer_group.queue = job.queue
CROSS JOIN waiting ON waiting.grp = consumer_group.id AND waiting.key = job.key
WHERE job.key = ?1;

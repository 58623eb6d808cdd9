-- A known group is joined. 1: queue, 2: name, 3: ephemeral, 4: most stalls.
UPDATE consumer_group
SET ephemeral = ?3, max_stalls = ?4
WHERE queue = ?1 AND name = ?2;

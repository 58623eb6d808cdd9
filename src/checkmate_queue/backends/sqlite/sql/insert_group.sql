-- Register a group. 1: queue, 2: name, 3: ephemeral, 4: most stalls, 5: now, 6: the key that it is filled from
-- where it starts from the earliest, else NULL, 7: the last key that was drawn.
INSERT INTO consumer_group (queue, name, ephemeral, max_stalls, registered_at, backfill_from, backfill_to)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7);

-- Write jobs into a queue's inbox, and tell those who sleep once it is committed. Runs on connections of callers,
-- whatever their driver: each parameter stands once, in order. Neither waits for others nor has others wait.
-- $1: the queue's number, $2: the time or NULL, $3: how many jobs, $4: their bytes, $5 to $12: the jobs as parallel
-- arrays (see add.sql), $13: the channel, $14: the queue's name.
INSERT INTO /* schema. */inbox (
    queue_id, at, jobs, bytes, ids, data, metadata, priorities, delays, expiries, drops, tokens
)
SELECT
    $1::integer, coalesce($2::bigint, (extract(epoch FROM clock_timestamp()) * 1000)::bigint), $3::integer,
    $4::bigint, $5::text[], $6::bytea[], $7::bytea[], $8::integer[], $9::bigint[], $10::bigint[], $11::boolean[],
    $12::text[]
FROM pg_notify($13::text, $14::text)
